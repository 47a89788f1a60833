//! Goal: production goes on: where a history is damaged, a successor begins with the newest version that can be trusted,
//! old IDs resolve through the predecessor, and of the damaged files nothing is touched.
//!
//! Method: a history is damaged in every way in turn (each file deleted, emptied, cut, flipped in places); its successor
//! must hold what was recorded up to some version, by ID and flow, go on from there, and open again by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history::{
    At, Author, Body, Component, Error, Flow, FlowVersionId, History, Mark, MemoryStorage, Options, Scope,
    Seq, Tuning, Value, VaultKey,
};
use flow_history_tests::{Files, SeededClock};

struct Made {
    files: Files,
    versions: Vec<(FlowVersionId, Flow)>,
}

fn alice() -> Author {
    Author::user("alice")
}

fn options(seed: u64, checkpoints: bool) -> Options {
    let mut tuning = Tuning::hostile();
    tuning.background = false;
    tuning.seal = seed.is_multiple_of(2);
    if !checkpoints {
        tuning.derive_from_bytes = u64::MAX;
    }
    History::options().tuning(tuning).clock(SeededClock::new(seed))
}

fn made(seed: u64, checkpoints: bool) -> Made {
    let storage = MemoryStorage::new();
    let history = options(seed, checkpoints).open_storage(Arc::new(storage.clone())).unwrap();
    for at in 0..40_u64 {
        let id = format!("pump-{}", at % 5);
        let text = format!("{:0>300}", at * 7_919);
        let change = history.change(&alice(), "a change");
        let change = match at / 5 {
            0 => change.add(Component::new(id.as_str(), "processor").field("text", text)),
            _ if at % 11 == 0 => change.remove(id.as_str()),
            _ if history.at(At::Head).unwrap().component(&id).unwrap().is_none() => {
                change.add(Component::new(id.as_str(), "processor"))
            }
            _ => change.set(id.as_str(), "text", text),
        };
        change.append().unwrap();
    }
    history.label(&alice(), "early", 3).unwrap();
    history.running(&alice(), 2).unwrap();
    let versions = (0..=history.version().seq().0)
        .map(|seq| history.at(seq).map(|view| (view.version().unwrap(), view.to_flow().unwrap())).unwrap())
        .collect();
    history.close().unwrap();
    Made { files: storage.files(), versions }
}

/// What a successor can be asked of what was before it.
struct Tally {
    tried: usize,
    /// The versions that were trusted.
    trusted: BTreeMap<u64, usize>,
    /// Versions before that which the predecessor could not show any more.
    unreadable: usize,
    /// How often nothing could be trusted.
    nothing: usize,
}

impl Made {
    fn check(&self, what: &str, damaged: Files, seed: u64, tally: &mut Tally) {
        let predecessor = MemoryStorage::with_files(damaged.clone());
        let storage = MemoryStorage::new();
        tally.tried += 1;
        let given = Arc::new(predecessor.clone());
        let successor = match options(seed, true).succeed_storage(Arc::new(storage.clone()), given.clone()) {
            Ok(successor) => successor,
            // Without its first segment and without a checkpoint, nothing leads anywhere.
            Err(Error::NotAHistory { .. } | Error::Damaged { .. })
                if what.starts_with("segment-0000000001")
                    && !damaged.keys().any(|name| name.starts_with("ch")) =>
            {
                assert!(storage.files().is_empty(), "{what}: something was written");
                tally.nothing += 1;
                return;
            }
            Err(error) => panic!("{what}: {error}"),
        };
        assert!(predecessor.files() == damaged, "{what}: the damaged files were touched");
        // The mark that it was opened, and the one that names the predecessor.
        let trusted = successor.version().seq().0 - 2;
        *tally.trusted.entry(trusted).or_default() += 1;
        let (id, flow) = &self.versions[usize::try_from(trusted).unwrap()];
        assert_eq!(successor.at(At::Head).unwrap().to_flow().unwrap(), *flow, "{what}: version {trusted}");
        assert_eq!(successor.resolve(*id).unwrap(), id.seq(), "{what}: the last trusted version has its ID");
        let told = successor.log().map(|line| line.unwrap().entry).find_map(|entry| match entry.body {
            Body::Mark(Mark::Succeeded { version, chain, .. }) => Some(FlowVersionId::new(version, &chain)),
            _ => None,
        });
        assert_eq!(told, Some(*id), "{what}");

        let new = Component::new("after", "processor");
        let after = successor.change(&alice(), "it goes on").add(new).append().unwrap();
        successor.close().unwrap();
        let again = options(seed + 1, true).predecessor(given);
        let again = again.open_storage(Arc::new(storage)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(again.version(), after, "{what}");
        again.verify().unwrap();
        for (seq, (id, flow)) in self.versions.iter().enumerate().rev() {
            let seq = seq as u64;
            if seq > trusted {
                // Lost with the damage: its number is another version's by now, or nobody's.
                let resolved = again.resolve(*id);
                assert!(
                    matches!(resolved, Err(Error::Foreign { .. } | Error::UnknownVersion { .. })),
                    "{what}: {resolved:?}"
                );
                continue;
            }
            let by_id = again.at(At::Id(*id)).and_then(|view| Ok((view.version().unwrap(), view.to_flow()?)));
            match by_id {
                Ok(found) => {
                    assert_eq!((found.0, &found.1), (*id, flow), "{what}: version {seq}");
                    assert_eq!(
                        again.at(seq).unwrap().version().unwrap(),
                        *id,
                        "{what}: version {seq} by number"
                    );
                    assert_eq!(again.resolve(*id).unwrap(), Seq(seq));
                }
                Err(Error::Damaged { .. } | Error::Pruned { .. } | Error::Foreign { .. }) => {
                    tally.unreadable += 1;
                }
                Err(error) => panic!("{what}: version {seq}: {error}"),
            }
        }
    }
}

fn check_each_file(seed: u64, checkpoints: bool) {
    let made = made(seed, checkpoints);
    let mut tally = Tally { tried: 0, trusted: BTreeMap::new(), unreadable: 0, nothing: 0 };
    let all = made.versions.len() as u64 - 1;
    for (name, bytes) in &made.files {
        let mut damaged = made.files.clone();
        damaged.remove(name);
        made.check(&format!("{name} is gone"), damaged, seed, &mut tally);
        for cut in [0, 100, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = made.files.clone();
            damaged.get_mut(name).unwrap().truncate(cut);
            made.check(&format!("{name} is cut to {cut}"), damaged, seed, &mut tally);
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 12 + 1) {
            let mut damaged = made.files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 0x20;
            made.check(&format!("{name}, byte {at}"), damaged, seed, &mut tally);
        }
    }
    let Tally { tried, trusted, unreadable, nothing } = tally;
    eprintln!(
        "succession: {tried} tried, {nothing} without a beginning, {unreadable} versions unreadable, trusted {trusted:?} of {all}"
    );
    assert!(trusted.contains_key(&all) && (checkpoints || trusted.len() > 2), "{trusted:?}");
    assert!(nothing * 2 < tried && unreadable < trusted.values().sum::<usize>() * 20);
}

#[test]
fn whatever_is_damaged_a_successor_goes_on_and_old_ids_resolve() {
    check_each_file(1, false);
    check_each_file(2, false);
}

#[test]
fn a_checkpoint_behind_the_damage_saves_what_came_after_it() {
    check_each_file(3, true);
    check_each_file(4, true);
    // The first segment is gone and everything after the first checkpoint is there: nothing of that is lost.
    let made = made(4, true);
    let mut damaged = made.files.clone();
    damaged.retain(|name, _| !name.starts_with("segment-0000000001"));
    let mut tally = Tally { tried: 0, trusted: BTreeMap::new(), unreadable: 0, nothing: 0 };
    made.check("the first segment is gone", damaged, 4, &mut tally);
    assert!(tally.trusted.contains_key(&(made.versions.len() as u64 - 1)), "{:?}", tally.trusted);
}

#[test]
fn in_directories_it_goes_on_beside_the_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let history = History::open(&old).unwrap();
    let added = history.change(&alice(), "").add(Component::new("pump", "processor")).append().unwrap();
    let set = history.change(&alice(), "").set("pump", "rate", 1).append().unwrap();
    history.close().unwrap();
    // The second entry is damaged, and the close behind it vouches for it.
    let path = std::fs::read_dir(&old).unwrap().map(|entry| entry.unwrap().path());
    let segment = path.into_iter().find(|path| path.to_string_lossy().contains("segment-")).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let frames: Vec<usize> = (512..bytes.len()).filter(|at| bytes[*at..].starts_with(b"FhFr")).collect();
    bytes[frames[1] + 80] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    assert!(matches!(History::open(&old), Err(Error::Damaged { .. })));
    let before = crate::bad_input::listing(&old);

    let successor = History::succeed(&new, &old).unwrap();
    assert_eq!(successor.at(added).unwrap().version().unwrap(), added);
    assert!(matches!(successor.resolve(set), Err(Error::Foreign { .. })));
    assert!(matches!(
        successor.undo(Scope::Flow, &alice()),
        Err(Error::NothingToUndo | Error::Pruned { .. })
    ));
    successor.change(&alice(), "").set("pump", "rate", 2).append().unwrap();
    successor.close().unwrap();
    assert_eq!(crate::bad_input::listing(&old), before, "the damaged directory was touched");
    assert!(matches!(History::succeed(&new, &old), Err(Error::NotEmpty { .. })));
    let reader = History::open_read_only(&new).unwrap();
    assert_eq!(
        reader.at(added).unwrap().version().unwrap(),
        added,
        "the place of the predecessor is in the log"
    );
    // Where the predecessor is gone, the error says where it was looked for.
    std::fs::rename(&old, dir.path().join("elsewhere")).unwrap();
    let reader = History::open_read_only(&new).unwrap();
    match reader.at(0).map(|view| view.version().unwrap()) {
        Err(Error::NotAHistory { dir, .. }) => assert_eq!(dir, old),
        Err(Error::Io { path, .. }) => assert_eq!(path, old),
        other => panic!("{other:?}"),
    }
    reader.verify().unwrap();
}

#[test]
fn a_successor_has_the_secrets_of_its_predecessor() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let options = || Options::new().vault_keys(Arc::new(VaultKey::new("key-1", [7; 32])));
    let history = options().open(path("a")).unwrap();
    let add = history.change(&alice(), "").add(Component::new("pump", "processor"));
    add.secret("pump", "password", "correct horse").append().unwrap();
    history.close().unwrap();
    let successor = options().succeed(path("b"), path("a")).unwrap();
    std::fs::remove_dir_all(path("a")).unwrap();
    let held = successor.at(successor.version()).unwrap().component("pump").unwrap().unwrap();
    let Some(Value::Secret(secret)) = held.get("password") else { panic!("{held:?}") };
    assert_eq!(successor.secret(secret).unwrap().expose_text(), Some("correct horse"));
    // A new one, beside the old one.
    let add = successor.change(&alice(), "").add(Component::new("tank", "processor"));
    add.secret("tank", "password", "battery staple").append().unwrap();
    assert_eq!(successor.verify().unwrap().secrets_opened, 2);
    successor.close().unwrap();
    let reopened = options().open(path("b")).unwrap();
    assert_eq!(reopened.secret(secret).unwrap().expose_text(), Some("correct horse"));
}

#[test]
fn a_successor_of_a_successor_leads_back_to_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let history = History::open(path("a")).unwrap();
    let first = history.change(&alice(), "").add(Component::new("pump", "processor")).append().unwrap();
    history.close().unwrap();
    let second = History::succeed(path("b"), path("a")).unwrap();
    let in_second = second.change(&alice(), "").set("pump", "rate", 1).append().unwrap();
    second.close().unwrap();
    let third = History::succeed(path("c"), path("b")).unwrap();
    assert_eq!(third.at(first).unwrap().version().unwrap(), first);
    assert_eq!(third.at(in_second).unwrap().version().unwrap(), in_second);
    assert_eq!(third.resolve(first).unwrap(), first.seq());
}

#[test]
fn of_nothing_that_can_be_trusted_there_is_no_successor() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("old")).unwrap();
    let new = dir.path().join("new");
    let none = History::succeed(&new, dir.path().join("old")).map(|history| history.version());
    assert!(matches!(none, Err(Error::NotAHistory { .. })), "{none:?}");
    assert!(!new.exists());
}
