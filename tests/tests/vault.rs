//! Goal: a secret is in its sealed file and nowhere else; whatever names it finds it, until it is shredded, and then
//! nobody does; no crash leaves an entry that names a missing file, or a file that nothing names.
//!
//! Method: everything that a history writes, prints and gives away is searched for the plain secret in several spellings.
//! The power is cut after every step of a day with secrets, and what is left is opened, verified, and compared with what
//! was sealed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    Author, Body, Component, Durability, Error, FlowVersionId, History, KeyError, LiveStamps, Mark,
    MemoryStorage, Mode, Obstacle, Options, Part, Proposal, Resolution, SECRET_BYTES_MAX, Scope, SecretRef,
    SecretValue, Seq, Storage, Tuning, Value, VaultKey, VaultKeys,
};
use flow_history_replay::FileName;
use flow_history_tests::{Disk, SeededClock, SimDisk, Step, is_nightly};

const PLAIN: &str = "correct horse battery staple 7";

fn key(byte: u8) -> Arc<VaultKey> {
    Arc::new(VaultKey::new("key-1", [byte; 32]))
}

fn options() -> Options {
    let mut tuning = Tuning::default();
    tuning.vouch_after = Duration::from_secs(3_600);
    History::options().tuning(tuning).clock(SeededClock::new(5)).vault_keys(key(1))
}

fn open(storage: &MemoryStorage) -> History {
    options().open_storage(Arc::new(storage.clone())).unwrap()
}

fn alice() -> Author {
    Author::user("alice")
}

/// A history with a pump whose password is a secret.
fn pump(storage: &MemoryStorage) -> (History, SecretRef) {
    let history = open(storage);
    let add = history.change(&alice(), "add").add(Component::new("pump", "processor").field("rate", 1));
    add.secret("pump", "password", PLAIN).append().unwrap();
    let secret = password(&history);
    (history, secret)
}

fn password(history: &History) -> SecretRef {
    match field(history, "password") {
        Some(Value::Secret(secret)) => secret,
        other => panic!("{other:?}"),
    }
}

fn field(history: &History, name: &str) -> Option<Value> {
    history.at(history.version()).unwrap().component("pump").unwrap()?.get(name).cloned()
}

fn text(history: &History, secret: &SecretRef) -> String {
    history.secret(secret).unwrap().expose_text().unwrap().to_owned()
}

/// The names of the files of secrets.
fn secret_files(storage: &MemoryStorage) -> Vec<String> {
    let files = storage.files();
    files.keys().filter(|name| name.starts_with("secret-")).cloned().collect()
}

fn sealed_file(secret: &SecretRef) -> String {
    FileName::Secret(secret.id).to_string()
}

#[test]
fn a_secret_is_what_was_sealed_for_everybody_who_has_the_key() {
    let storage = MemoryStorage::new();
    let (history, secret) = pump(&storage);
    assert_eq!(text(&history, &secret), PLAIN);
    assert_eq!(secret_files(&storage), [sealed_file(&secret)]);
    let reader = options().open_storage_read_only(Arc::new(storage.clone())).unwrap();
    assert_eq!(text(&reader, &secret), PLAIN);
    history.close().unwrap();
    let history = open(&storage);
    assert_eq!(text(&history, &secret), PLAIN);
    for bytes in [0, 1, 59, 60, 61, 64, 4_096, SECRET_BYTES_MAX] {
        let value = SecretValue::new((0..bytes).map(|at| at as u8).collect());
        let secret = history.seal_secret(value.clone()).unwrap();
        assert_eq!(history.secret(&secret).unwrap(), value, "{bytes}");
    }
    let verified = history.verify().unwrap();
    assert_eq!((verified.secrets, verified.secrets_opened, verified.shredded), (1, 1, 0));
    assert!(verified.warnings.is_empty(), "{:?}", verified.warnings);
}

#[test]
fn equal_secrets_have_equal_tags_under_one_key_and_one_history() {
    let storage = MemoryStorage::new();
    let history = open(&storage);
    let [a, b, c] = [PLAIN, PLAIN, "another"].map(|plain| history.seal_secret(plain).unwrap());
    assert_eq!(a.tag, b.tag);
    assert_ne!(a.id, b.id);
    assert_ne!(a.tag, c.tag);
    let other = History::options().vault_keys(key(1)).open_storage(Arc::new(MemoryStorage::new())).unwrap();
    assert_ne!(other.seal_secret(PLAIN).unwrap().tag, a.tag, "the histories give equal secrets away");
    drop(history);
    let history = options().vault_keys(key(2)).open_storage(Arc::new(storage)).unwrap();
    assert_ne!(history.seal_secret(PLAIN).unwrap().tag, a.tag);
}

#[test]
fn undo_brings_the_reference_back_and_nobody_reads_it_for_that() {
    let storage = MemoryStorage::new();
    let (history, first) = pump(&storage);
    history.change(&alice(), "").secret("pump", "password", "second").append().unwrap();
    let second = password(&history);
    drop(history);
    // Without any key.
    let history =
        History::options().clock(SeededClock::new(6)).open_storage(Arc::new(storage.clone())).unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(password(&history), first);
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!(password(&history), second);
    history.change(&alice(), "").remove("pump").append().unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(password(&history), second);
    history.restore(Part::Flow, 1, &alice()).unwrap();
    assert_eq!(password(&history), first);
    drop(history);
    let history = open(&storage);
    assert_eq!(text(&history, &first), PLAIN);
    assert_eq!(text(&history, &second), "second");
}

#[test]
fn a_shredded_secret_is_gone_and_the_rest_of_the_history_stands() {
    let storage = MemoryStorage::new();
    let (history, secret) = pump(&storage);
    let before = history.verify().unwrap();
    let reader = options().open_storage_read_only(Arc::new(storage.clone())).unwrap();
    assert_eq!(text(&reader, &secret), PLAIN);
    let bob = Author::user("bob");
    let mark = history.shred(&secret, &bob).unwrap();
    assert!(secret_files(&storage).is_empty());
    let entry = history.log().last().unwrap().unwrap().entry;
    assert_eq!(entry.id, mark);
    assert_eq!(entry.header.author.id.as_ref(), "bob");
    assert_eq!(entry.body, Body::Mark(Mark::Shredded { secret: secret.id }));
    for handle in [&history, &reader] {
        match handle.secret(&secret) {
            Err(Error::SecretGone { mark: said }) => assert_eq!(said, mark.seq()),
            other => panic!("{other:?}"),
        }
    }
    let after = history.verify().unwrap();
    assert_eq!((after.secrets, after.shredded), (0, 1));
    assert_eq!(after.state_hash, before.state_hash);
    assert!(after.warnings.is_empty(), "{:?}", after.warnings);
    history.close().unwrap();
    let history = open(&storage);
    assert!(matches!(history.secret(&secret), Err(Error::SecretGone { .. })));
    assert_eq!(history.find(1).unwrap(), reader.find(1).unwrap());
}

/// What an undo says of secrets that it could not bring back.
fn gone(conflicts: &[flow_history::Conflict]) -> Vec<(String, String, Option<Resolution>)> {
    let note = |conflict: &flow_history::Conflict| match &conflict.obstacle {
        Obstacle::SecretGone { field } => {
            Some((conflict.id.to_string(), field.to_string(), conflict.resolved))
        }
        _ => None,
    };
    conflicts.iter().filter_map(note).collect()
}

#[test]
fn undo_over_a_shredded_secret_restores_the_rest_and_says_so() {
    for mode in [Mode::Strict, Mode::Partial, Mode::Cascade, Mode::Force] {
        let storage = MemoryStorage::new();
        let (history, first) = pump(&storage);
        let change = history.change(&alice(), "").secret("pump", "password", "second").set("pump", "rate", 2);
        change.append().unwrap();
        let second = password(&history);
        history.change(&alice(), "").remove("pump").append().unwrap();
        history.shred(&first, &alice()).unwrap();
        let undo = || history.apply(&alice(), Proposal::undo(Scope::Flow).mode(mode)).unwrap();
        let redo = || history.apply(&alice(), Proposal::redo(Scope::Flow).mode(mode)).unwrap();

        // The removal names the second one alone.
        let applied = undo();
        assert_eq!(gone(&applied.conflicts), []);
        assert_eq!(password(&history), second);

        let note = ("pump".to_owned(), "password".to_owned(), Some(Resolution::WithoutSecret));
        let applied = undo();
        assert_eq!(gone(&applied.conflicts), std::slice::from_ref(&note));
        assert_eq!(field(&history, "password"), Some(Value::Null));
        assert_eq!(field(&history, "rate"), Some(1.into()));
        let entry = history.log().last().unwrap().unwrap().entry;
        let left_out: Vec<&str> = entry.header.attributes.iter().map(|(_, value)| &**value).collect();
        assert_eq!(left_out, ["pump: SecretGone"]);

        // On to the beginning, and all the way back.
        undo();
        assert_eq!(field(&history, "rate"), None);
        redo();
        assert_eq!(field(&history, "password"), Some(Value::Null));
        assert_eq!(gone(&redo().conflicts), []);
        assert_eq!(password(&history), second);
        assert_eq!(field(&history, "rate"), Some(2.into()));

        let applied = history.apply(&alice(), Proposal::restore(Part::Flow, 1).mode(mode)).unwrap();
        assert_eq!(gone(&applied.conflicts), std::slice::from_ref(&note));
        assert_eq!(field(&history, "password"), Some(Value::Null));
        assert_eq!(field(&history, "rate"), Some(1.into()));
        history.undo(Scope::Flow, &alice()).unwrap();
        assert_eq!(password(&history), second);
        history.verify().unwrap();
    }
}

#[test]
fn a_secret_inside_a_list_is_left_out_alone() {
    let storage = MemoryStorage::new();
    let history = open(&storage);
    let [a, b] = ["a", "b"].map(|plain| history.seal_secret(plain).unwrap());
    let both = Value::List(vec![a.clone().into(), "open".into(), b.clone().into()]);
    history.change(&alice(), "").add(Component::new("pump", "k").field("keys", both)).append().unwrap();
    assert_eq!(secret_files(&storage).len(), 2);
    history.change(&alice(), "").set("pump", "keys", Value::Null).append().unwrap();
    history.shred(&a, &alice()).unwrap();
    let applied = history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(gone(&applied.conflicts).len(), 1);
    assert_eq!(field(&history, "keys"), Some(Value::List(vec![Value::Null, "open".into(), b.into()])));
}

#[test]
fn an_undo_that_passes_over_what_was_nothing_but_a_shredded_secret_says_so() {
    let storage = MemoryStorage::new();
    let history = open(&storage);
    history.change(&alice(), "").add(Component::new("pump", "k").field("rate", 1)).append().unwrap();
    history.change(&alice(), "").set("pump", "rate", 2).append().unwrap();
    let secret = history.seal_secret("first").unwrap();
    history.change(&alice(), "").set("pump", "password", secret.clone()).append().unwrap();
    history.change(&alice(), "").set("pump", "password", Value::Null).append().unwrap();
    history.shred(&secret, &alice()).unwrap();
    let note = ("pump".to_owned(), "password".to_owned(), Some(Resolution::WithoutSecret));

    // To put the secret in place of null again is not possible, and nothing else is to it.
    let plan = history.plan(&alice(), Proposal::undo(Scope::Flow)).unwrap();
    assert_eq!((plan.passed_over(), plan.taken()), (&[Seq(4)][..], &[Seq(3)][..]));
    assert_eq!(gone(plan.conflicts()), std::slice::from_ref(&note));
    let applied = plan.finish().unwrap();
    assert_eq!((gone(&applied.conflicts), field(&history, "password")), (vec![note.clone()], None));
    let entry = history.log().last().unwrap().unwrap().entry;
    assert_eq!(&*entry.header.attributes[0].1, "pump: SecretGone");
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(field(&history, "rate"), Some(1.into()));

    // Where nothing else is left, that is the error.
    let history = open(&MemoryStorage::new());
    let secret = history.seal_secret("first").unwrap();
    let pump = Component::new("pump", "k").field("password", secret.clone());
    history.change(&alice(), "").intent(flow_history::Intent::System).add(pump).append().unwrap();
    history.change(&alice(), "").set("pump", "password", Value::Null).append().unwrap();
    history.shred(&secret, &alice()).unwrap();
    let version = history.version();
    match history.undo(Scope::Flow, &alice()) {
        Err(Error::Conflicts { entries, conflicts }) => {
            assert_eq!((entries, gone(&conflicts)), (vec![Seq(2)], vec![note]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(history.version(), version);
}

#[test]
fn a_component_that_was_exchanged_for_another_comes_back_as_itself_without_a_shredded_secret() {
    let storage = MemoryStorage::new();
    let (history, first) = pump(&storage);
    let slot = || history.at(history.version()).unwrap().to_flow().unwrap().slot("pump");
    let before = slot();
    let other = Component::new("pump", "processor").field("rate", 9);
    history.change(&alice(), "").remove("pump").add(other).append().unwrap();
    let after = slot();
    assert_ne!(before, after);
    history.shred(&first, &alice()).unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!((slot(), field(&history, "password")), (before, Some(Value::Null)));
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!((slot(), field(&history, "rate")), (after, Some(9.into())));
}

#[test]
fn a_shredded_secret_that_still_stands_is_in_nobodys_way() {
    let storage = MemoryStorage::new();
    let (history, first) = pump(&storage);
    history.change(&alice(), "").set("pump", "rate", 2).append().unwrap();
    history.shred(&first, &alice()).unwrap();
    let before = history.at(1).unwrap().state_hash().unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    // Nobody set it: it is named as before, and reading it says what became of it.
    assert_eq!(password(&history), first);
    assert_eq!(history.at(history.version()).unwrap().state_hash().unwrap(), before);
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(field(&history, "rate"), None);
    history.change(&alice(), "").add(Component::new("pump", "k")).append().unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
}

/// The ways in which a secret may show.
fn spellings(plain: &str) -> Vec<Vec<u8>> {
    let bytes = plain.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut spellings = vec![bytes.to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()];
    spellings.push(format!("{bytes:?}").trim_matches(['[', ']']).as_bytes().to_vec());
    // Base64 of a text that stands at any place within others: what does not depend on what is around it.
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for skipped in 0..3 {
        let mut base64 = Vec::new();
        for three in bytes[skipped..].chunks_exact(3) {
            let word = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            base64.extend([18, 12, 6, 0].map(|shift| DIGITS[(word >> shift & 63) as usize]));
        }
        spellings.push(base64);
    }
    spellings
}

fn assert_hidden(what: &str, said: &[u8]) {
    for spelling in spellings(PLAIN) {
        let found = said.windows(spelling.len()).any(|window| window == spelling);
        assert!(!found, "{what} shows it as {:?}", String::from_utf8_lossy(&spelling));
    }
}

#[test]
fn the_plain_secret_is_in_no_file_and_in_nothing_that_is_printed() {
    for (seal, durability) in [
        (false, Durability::Immediate),
        (true, Durability::Immediate),
        (true, Durability::Buffered { max_delay: Duration::from_millis(1) }),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut tuning = Tuning::hostile();
        tuning.seal = seal;
        let options = || History::options().vault_keys(key(1)).tuning(tuning.clone()).durability(durability);
        let history = options().open(dir.path().join("h")).unwrap();
        let add = history.change(&alice(), "add").add(Component::new("pump", "processor").field("rate", 1));
        let ticket = add.secret("pump", "password", PLAIN).submit().unwrap();
        ticket.wait().unwrap();
        for at in 0..60 {
            let change = history.change(&alice(), "").set("pump", "rate", "x".repeat(at * 20));
            change.secret("pump", "password", format!("{at} {PLAIN}")).append().unwrap();
        }
        let refused = history.change(&alice(), "").secret("nobody", "password", PLAIN).append();
        let secret = password(&history);
        history.shred(&secret, &alice()).unwrap();
        let plan = history.plan(&alice(), Proposal::undo(Scope::Flow)).unwrap();
        let applied = history.undo(Scope::Flow, &alice()).unwrap();
        history.change(&alice(), "").remove("pump").append().unwrap();
        history.undo(Scope::Flow, &alice()).unwrap();
        let mut said =
            format!("{refused:?} {plan:?} {applied:?} {:?} {:?}", key(1), SecretValue::from(PLAIN));
        said += &format!("{:?} {:?} {secret:?}", history.diff(1, 20).unwrap(), history.stats());
        said += &format!("{:?} {:?}", history.at(1).unwrap().to_flow().unwrap(), history.verify().unwrap());
        for line in history.log() {
            said += &format!("{:?}", line.unwrap().entry);
        }
        said += &format!("{:?}", history.change(&alice(), "").secret("pump", "p", PLAIN).append());
        assert_hidden("what is printed", said.as_bytes());
        let copy = dir.path().join("copy");
        history.backup(&copy).unwrap();
        history.close().unwrap();
        for sub in ["h", "copy"] {
            let mut looked_at = 0;
            for file in std::fs::read_dir(dir.path().join(sub)).unwrap() {
                let path = file.unwrap().path();
                assert_hidden(&path.display().to_string(), &std::fs::read(&path).unwrap());
                looked_at += 1;
            }
            assert!(looked_at > 60, "{looked_at}");
        }
        assert!(std::panic::catch_unwind(|| assert_hidden("this", format!("x{PLAIN}").as_bytes())).is_err());
    }
}

/// A host that cannot reach its keys.
struct Unreachable;

impl VaultKeys for Unreachable {
    fn newest(&self) -> Result<VaultKey, KeyError> {
        Err("the key server does not answer".into())
    }

    fn named(&self, _: &str) -> Result<VaultKey, KeyError> {
        self.newest()
    }
}

#[test]
fn each_bad_input_has_its_own_error_and_leaves_no_trace() {
    let storage = MemoryStorage::new();
    let (history, secret) = pump(&storage);
    let nowhere = SecretRef { id: [9; 16], tag: [9; 16] };
    let other_tag = SecretRef { id: secret.id, tag: [9; 16] };
    let check = |history: &History, what: &str, error: Error, wanted: &dyn Fn(&Error) -> bool| {
        assert!(wanted(&error), "{what}: {error:?}");
        assert!(!error.to_string().is_empty());
        assert_eq!(history.version().seq().0, 1, "{what}");
        assert_eq!(secret_files(&storage), [sealed_file(&secret)], "{what}");
    };
    let change = |history: &History| history.change(&alice(), "");
    let set = |history: &History, secret: &SecretRef| {
        change(history).set("pump", "password", Value::Secret(secret.clone())).append().unwrap_err()
    };
    let unknown = |error: &Error| matches!(error, Error::UnknownSecret);
    check(&history, "reading what never was", history.secret(&nowhere).unwrap_err(), &unknown);
    check(&history, "reading by another tag", history.secret(&other_tag).unwrap_err(), &unknown);
    check(&history, "naming what never was", set(&history, &nowhere), &unknown);
    check(&history, "naming by another tag", set(&history, &other_tag), &unknown);
    check(&history, "shredding what never was", history.shred(&nowhere, &alice()).unwrap_err(), &unknown);
    check(&history, "shredding by another tag", history.shred(&other_tag, &alice()).unwrap_err(), &unknown);
    let large = history.seal_secret(SecretValue::new(vec![0; SECRET_BYTES_MAX + 1])).unwrap_err();
    check(&history, "too large", large, &|error| {
        matches!(error, Error::SecretTooLarge { max: SECRET_BYTES_MAX, .. })
    });
    let misfit = change(&history).secret("nobody", "password", PLAIN).append().unwrap_err();
    check(&history, "a misfit", misfit, &|error| matches!(error, Error::Misfit(_)));
    let gone = change(&history).remove("nobody").secret("pump", "password", PLAIN).append().unwrap_err();
    check(&history, "a removal that does not fit", gone, &|error| matches!(error, Error::Misfit(_)));
    let stale = change(&history).secret("pump", "password", PLAIN).expecting(history.find(0).unwrap());
    check(&history, "stale", stale.append().unwrap_err(), &|error| matches!(error, Error::Conflict { .. }));
    let all = vec![
        change(&history).secret("pump", "password", PLAIN),
        change(&history).secret("pump", "password", PLAIN).set("nobody", "a", 1),
    ];
    let refused = history.append_all(all).unwrap_err();
    check(&history, "one of two", refused, &|error| matches!(error, Error::Misfit(_)));
    let misfit = change(&history).secret("nobody", "password", PLAIN).submit().err().unwrap();
    check(&history, "handed over", misfit, &|error| matches!(error, Error::Misfit(_)));

    let reader = options().open_storage_read_only(Arc::new(storage.clone())).unwrap();
    let read_only = |error: &Error| matches!(error, Error::ReadOnly);
    check(&history, "sealing", reader.seal_secret(PLAIN).unwrap_err(), &read_only);
    check(&history, "shredding", reader.shred(&secret, &alice()).unwrap_err(), &read_only);
    history.close().unwrap();

    let with = |keys: Option<Arc<dyn VaultKeys>>| {
        let options = History::options().clock(SeededClock::new(8));
        let options = match keys {
            Some(keys) => options.vault_keys(keys),
            None => options,
        };
        options.open_storage(Arc::new(storage.clone())).unwrap()
    };
    let history = with(None);
    let no_keys = |error: &Error| matches!(error, Error::NoVaultKeys);
    check(&history, "no keys", history.secret(&secret).unwrap_err(), &no_keys);
    check(&history, "no keys", history.seal_secret(PLAIN).unwrap_err(), &no_keys);
    let sealing = change(&history).secret("pump", "password", PLAIN).append().unwrap_err();
    check(&history, "no keys", sealing, &no_keys);
    assert_eq!(history.verify().unwrap().secrets_opened, 0);
    history.close().unwrap();
    let history = with(Some(Arc::new(Unreachable)));
    let unreachable = |error: &Error| {
        let Error::VaultKey { source, .. } = error else { return false };
        source.to_string().contains("does not answer") && std::error::Error::source(error).is_some()
    };
    check(&history, "unreachable", history.secret(&secret).unwrap_err(), &unreachable);
    check(&history, "unreachable", history.seal_secret(PLAIN).unwrap_err(), &unreachable);
    assert_eq!(history.verify().unwrap().warnings.len(), 1);
    history.close().unwrap();
    let history = with(Some(key(2)));
    let wrong = |error: &Error| matches!(error, Error::WrongVaultKey { key } if key == "key-1");
    check(&history, "another key", history.secret(&secret).unwrap_err(), &wrong);
    history.close().unwrap();
    for name in ["", "x".repeat(256).as_str()] {
        let history = with(Some(Arc::new(VaultKey::new(name, [1; 32]))));
        let refused = history.seal_secret(PLAIN).unwrap_err();
        check(&history, "a key's name", refused, &|error| matches!(error, Error::VaultKey { .. }));
    }

    let history = open(&storage);
    history.shred(&secret, &alice()).unwrap();
    let gone = |error: &Error| matches!(error, Error::SecretGone { .. });
    for error in [
        history.shred(&secret, &alice()).unwrap_err(),
        history.secret(&secret).unwrap_err(),
        set(&history, &secret),
    ] {
        assert!(gone(&error), "{error:?}");
    }
    assert_eq!(history.version().seq().0, 2);
}

#[test]
fn no_flipped_bit_of_a_sealed_file_goes_unnoticed_and_a_missing_one_is_damage() {
    let storage = MemoryStorage::new();
    let (history, secret) = pump(&storage);
    history.close().unwrap();
    let (files, name) = (storage.files(), sealed_file(&secret));
    let check = |files: BTreeMap<String, Vec<u8>>, what: &str| {
        let history = options().open_storage_read_only(Arc::new(MemoryStorage::with_files(files))).unwrap();
        for error in [history.verify().map(drop).unwrap_err(), history.secret(&secret).map(drop).unwrap_err()]
        {
            match error {
                Error::Damaged { damage, .. } => assert_eq!(damage.file, name, "{what}"),
                Error::Unsupported { .. } => {}
                Error::UnknownSecret => assert_eq!(what, "missing"),
                other => panic!("{what}: {other:?}"),
            }
        }
        history
    };
    for bit in 0..files[&name].len() * 8 {
        let mut flipped = files.clone();
        flipped.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
        check(flipped, &format!("bit {bit}"));
    }
    for length in 0..files[&name].len() {
        let mut cut = files.clone();
        cut.get_mut(&name).unwrap().truncate(length);
        check(cut, &format!("cut to {length}"));
    }
    let mut missing = files.clone();
    missing.remove(&name);
    let history = check(missing, "missing");
    let Err(Error::Damaged { damage, .. }) = history.verify() else { panic!() };
    assert_eq!(damage.seq.map(|seq| seq.0), Some(1), "the version that names it");
    // The sealed file of another secret does not pass for it.
    let other = open(&storage);
    let stranger = other.seal_secret("stranger").unwrap();
    let mut swapped = files;
    let bytes = storage.files()[&FileName::NewSecret(stranger.id).to_string()].clone();
    swapped.insert(name.clone(), bytes);
    check(swapped, "swapped");
}

#[test]
fn what_no_entry_names_is_collected_when_the_history_is_opened_to_write() {
    let storage = MemoryStorage::new();
    let (history, secret) = pump(&storage);
    let unnamed = history.seal_secret("unnamed").unwrap();
    let named = history.seal_secret("named").unwrap();
    // As a kill leaves it, where the entry is durable and nothing was renamed.
    history.change(&alice(), "").set("pump", "other", Value::Secret(named.clone())).append().unwrap();
    let mut killed = storage.files();
    let bytes = killed.remove(&sealed_file(&named)).unwrap();
    killed.insert(FileName::NewSecret(named.id).to_string(), bytes);
    assert!(killed.contains_key(&FileName::NewSecret(unnamed.id).to_string()));
    let copy = MemoryStorage::with_files(killed);
    let reader = options().open_storage_read_only(Arc::new(copy.clone())).unwrap();
    assert_eq!(text(&reader, &named), "named");
    assert_eq!(secret_files(&copy).len(), 3, "a reader collects");
    let opened = open(&copy);
    let expected: BTreeSet<String> = [&secret, &named].map(sealed_file).into();
    assert_eq!(secret_files(&copy).into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(text(&opened, &named), "named");
    assert!(matches!(opened.secret(&unnamed), Err(Error::UnknownSecret)));
    // Whoever closes does the same.
    history.close().unwrap();
    assert_eq!(secret_files(&storage).into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_repeated_request_seals_nothing_and_another_secret_under_its_key_is_refused() {
    let storage = MemoryStorage::new();
    let (history, _) = pump(&storage);
    let ask = |plain: &str| {
        let change = history.change(&alice(), "").secret("pump", "password", plain);
        change.idempotency_key("request-1").append()
    };
    let first = ask("second").unwrap();
    assert_eq!(ask("second").unwrap(), first);
    assert!(matches!(ask("third"), Err(Error::KeyReused { .. })));
    let secret = password(&history);
    history.close().unwrap();
    assert_eq!(secret_files(&storage).len(), 2);
    let history = open(&storage);
    assert_eq!(text(&history, &secret), "second");
}

#[test]
fn handed_over_and_buffered_secrets_find_their_names() {
    for buffered in [false, true] {
        let storage = MemoryStorage::new();
        let mut options = options();
        if buffered {
            options = options.durability(Durability::Buffered { max_delay: Duration::from_millis(2) });
        }
        let history = options.open_storage(Arc::new(storage.clone())).unwrap();
        history.change(&alice(), "").add(Component::new("pump", "k")).append().unwrap();
        let mut secrets = Vec::new();
        for at in 0..20 {
            let change = history.change(&alice(), "").secret("pump", "password", format!("{at}"));
            match at % 3 {
                0 => drop(change.append().unwrap()),
                1 => drop(change.submit().unwrap().wait().unwrap()),
                _ => drop(history.append_all(vec![change]).unwrap()),
            }
            secrets.push(password(&history));
        }
        history.close().unwrap();
        let expected: BTreeSet<String> = secrets.iter().map(sealed_file).collect();
        assert_eq!(secret_files(&storage).into_iter().collect::<BTreeSet<_>>(), expected, "{buffered}");
        let history = open(&storage);
        for (at, secret) in secrets.iter().enumerate() {
            assert_eq!(text(&history, secret), at.to_string());
        }
    }
}

#[test]
fn a_copy_has_the_secrets_that_it_names_and_no_other() {
    let storage = MemoryStorage::new();
    let (history, first) = pump(&storage);
    history.change(&alice(), "").secret("pump", "password", "second").append().unwrap();
    let second = password(&history);
    history.shred(&first, &alice()).unwrap();
    let unnamed = history.seal_secret("unnamed").unwrap();
    let copy = MemoryStorage::new();
    history.backup_to(&(Arc::new(copy.clone()) as Arc<dyn Storage>)).unwrap();
    assert_eq!(secret_files(&copy), [sealed_file(&second)]);
    // What a copy has, shredding does not reach.
    history.shred(&second, &alice()).unwrap();
    let copy = open(&copy);
    assert_eq!(text(&copy, &second), "second");
    assert!(matches!(copy.secret(&first), Err(Error::SecretGone { .. })));
    assert!(matches!(copy.secret(&unnamed), Err(Error::UnknownSecret)));
    // A history that lost one is not copied as if it were whole.
    let third =
        history.change(&alice(), "").secret("pump", "password", "third").append().map(|_| password(&history));
    let mut files = storage.files();
    files.remove(&sealed_file(&third.unwrap())).unwrap();
    let broken = options().open_storage_read_only(Arc::new(MemoryStorage::with_files(files))).unwrap();
    let to: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    assert!(matches!(broken.backup_to(&to), Err(Error::Damaged { .. })));
}

#[test]
fn what_only_pruned_entries_name_goes_with_them() {
    let storage = MemoryStorage::new();
    let mut tuning = Tuning::hostile();
    tuning.vouch_after = Duration::from_secs(3_600);
    let open = || {
        let options = History::options().tuning(tuning.clone()).clock(SeededClock::new(5)).vault_keys(key(1));
        options.open_storage(Arc::new(storage.clone())).unwrap()
    };
    let history = open();
    history.change(&alice(), "").add(Component::new("pump", "k")).append().unwrap();
    let mut secrets = Vec::new();
    for at in 0..40 {
        let change = history.change(&alice(), "").set("pump", "text", "long ".repeat(at * 5));
        change.secret("pump", "password", format!("{at}")).append().unwrap();
        secrets.push(password(&history));
    }
    // Named again by what is kept.
    history.undo(Scope::Flow, &alice()).unwrap();
    history.restore(Part::Fields("pump".into(), vec!["password".into()]), 6, &alice()).unwrap();
    assert_eq!(password(&history), secrets[4]);
    let pruned = history.prune(&alice(), 38, &LiveStamps::GiveUp).unwrap();
    assert!(pruned.entries > 5, "{pruned:?}");
    let oldest = usize::try_from(pruned.oldest.seq().0).unwrap();
    // Entry 2 gave the first one; of the oldest version that is kept the flow names one.
    let kept: BTreeSet<String> = secrets[oldest - 2..].iter().chain([&secrets[4]]).map(sealed_file).collect();
    assert_eq!(secret_files(&storage).into_iter().collect::<BTreeSet<_>>(), kept);
    let warnings = history.verify().unwrap().warnings;
    let told = || secrets.iter().map(sealed_file).enumerate().collect::<Vec<_>>();
    assert!(warnings.iter().all(|warning| !warning.contains("secret")), "{oldest} {warnings:?} {:?}", told());
    history.close().unwrap();
    let history = open();
    assert_eq!(text(&history, &secrets[4]), "4");
    assert!(matches!(history.secret(&secrets[0]), Err(Error::UnknownSecret)));
    assert_eq!(secret_files(&storage).into_iter().collect::<BTreeSet<_>>(), kept);
}

#[test]
fn a_base_remembers_what_was_shredded() {
    let storage = MemoryStorage::new();
    let open = || {
        let options = History::options().tuning(Tuning::hostile()).vault_keys(key(1));
        options.open_storage(Arc::new(storage.clone())).unwrap()
    };
    let history = open();
    let add = history.change(&alice(), "").add(Component::new("pump", "k")).secret("pump", "password", PLAIN);
    add.append().unwrap();
    let secret = password(&history);
    history.shred(&secret, &alice()).unwrap();
    for at in 0..60 {
        history.change(&alice(), "").set("pump", "text", "long ".repeat(at * 5)).append().unwrap();
    }
    let pruned = history.prune(&alice(), 50, &LiveStamps::GiveUp).unwrap();
    assert!(pruned.oldest.seq().0 > 2, "{pruned:?}");
    history.close().unwrap();
    let history = open();
    assert_eq!(password(&history), secret);
    assert!(matches!(history.secret(&secret), Err(Error::SecretGone { .. })));
    history.verify().unwrap();
}

/// What the day of the crash test did, by the version that it made.
#[derive(Default)]
struct Day {
    /// What each secret that was appended is.
    plain: BTreeMap<[u8; 16], String>,
    acknowledged: BTreeMap<u64, FlowVersionId>,
}

#[test]
fn a_crash_leaves_no_entry_that_names_a_missing_file_and_no_file_that_nothing_names() {
    let mut tuning = Tuning::hostile();
    tuning.vouch_after = Duration::from_secs(3_600);
    tuning.derive_from_bytes = u64::MAX;
    let options = |seed| {
        let clock = SeededClock::new(seed);
        History::options().tuning(tuning.clone()).clock(clock).vault_keys(key(1))
    };
    let disk = SimDisk::new(Disk::default());
    let mut day = Day::default();
    let mut history = options(1).open_storage(Arc::new(disk.clone())).unwrap();
    let mut first = None;
    for act in 0..14 {
        let version = match act {
            0 => history.change(&alice(), "").add(Component::new("pump", "k")).append().unwrap(),
            1 | 2 | 5 | 8 | 11 => {
                let plain = format!("secret {act}");
                let change = history.change(&alice(), "").secret("pump", "password", plain.as_str());
                let id = change.append().unwrap();
                let secret = password(&history);
                day.plain.insert(secret.id, plain);
                first.get_or_insert(secret);
                id
            }
            3 => history.undo(Scope::Flow, &alice()).unwrap().version,
            4 => history.shred(first.as_ref().unwrap(), &alice()).unwrap(),
            6 => {
                drop(history.change(&alice(), "").secret("nobody", "password", "refused").append());
                history.seal_secret("never named").unwrap();
                history.mark(&alice(), Mark::Deploy).unwrap()
            }
            7 | 10 => {
                history.close().unwrap();
                history = options(act).open_storage(Arc::new(disk.clone())).unwrap();
                continue;
            }
            9 => history.shred(&password(&history), &alice()).unwrap(),
            12 => history.undo(Scope::Flow, &alice()).unwrap().version,
            _ => history.change(&alice(), "").set("pump", "text", "x".repeat(3_000)).append().unwrap(),
        };
        day.acknowledged.insert(version.seq().0, version);
        disk.note(Step::Acknowledged(version.seq().0));
    }
    history.close().unwrap();

    let (mut images, mut names_left, mut collected) = (0, 0, 0);
    let mut disk_then = Disk::default();
    let mut acked = 0;
    let seeds = if is_nightly() { 60 } else { 8 };
    for (at, step) in disk.steps().iter().enumerate() {
        disk_then.take(step).unwrap();
        if let Step::Acknowledged(seq) = step {
            acked = *seq;
        }
        for outcome in 0..seeds {
            let seed = if outcome < 2 { outcome } else { 1_000 * at as u64 + outcome };
            let storage = MemoryStorage::with_files(disk_then.lose_power(seed));
            let why = |error: &dyn std::fmt::Display| format!("step {at}, outcome {seed}: {error}");
            images += 1;
            if acked == 0 && !storage.files().contains_key("history") {
                continue;
            }
            let before = secret_files(&storage);
            let reader = options(3).open_storage_read_only(Arc::new(storage.clone()));
            let reader = reader.unwrap_or_else(|error| panic!("{}", why(&error)));
            reader.verify().unwrap_or_else(|error| panic!("{}", why(&error)));
            assert_eq!(secret_files(&storage), before, "{}", why(&"a reader changed the vault"));
            let history = options(3).open_storage(Arc::new(storage.clone())).unwrap();
            assert!(history.version().seq().0 >= acked, "{}", why(&history.version()));
            let verified = history.verify().unwrap_or_else(|error| panic!("{}", why(&error)));
            assert!(
                verified.warnings.iter().all(|warning| !warning.contains("secret")),
                "{:?}",
                verified.warnings
            );
            let (mut named, mut shredded) = (BTreeSet::new(), BTreeSet::new());
            for line in history.log() {
                match line.unwrap().entry.body {
                    Body::Change(operations) => {
                        let mut visit = |secret: &SecretRef| {
                            named.insert((secret.id, secret.tag));
                        };
                        operations.iter().for_each(|operation| operation.visit_secrets(&mut visit));
                    }
                    Body::Mark(Mark::Shredded { secret }) => {
                        shredded.insert(secret);
                    }
                    _ => {}
                }
            }
            for (id, tag) in &named {
                match (history.secret(&SecretRef { id: *id, tag: *tag }), shredded.contains(id)) {
                    (Ok(value), false) => assert_eq!(value.expose(), day.plain.get(id).unwrap().as_bytes()),
                    (Err(Error::SecretGone { .. }), true) => {}
                    (other, _) => panic!("{}", why(&format!("{other:?}"))),
                }
            }
            let wanted: BTreeSet<String> = named
                .iter()
                .filter(|(id, _)| !shredded.contains(id))
                .map(|(id, _)| FileName::Secret(*id).to_string())
                .collect();
            let there: BTreeSet<String> = secret_files(&storage).into_iter().collect();
            assert_eq!(there, wanted, "{}", why(&"left"));
            names_left += usize::from(!wanted.is_empty());
            collected += usize::from(before.len() > there.len());
        }
    }
    eprintln!("vault: {images} images, {names_left} with secrets, {collected} where something was collected");
    assert!(names_left > 200 && collected > 20, "the crashes are blind: {names_left} {collected}");
}
