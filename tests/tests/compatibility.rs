//! Goal: files of every kind that were written once open in every later version of the library, and files of a newer
//! format are refused with nothing touched; a newer checkpoint is passed over.
//!
//! Method: a history with sealed segments, a base, a checkpoint of layout 1 and a raw segment lies in
//! `data/golden-sealed-0` beside a list of its versions, its blocks in codec 1, which is not written any more; another in
//! `data/golden-sealed-1`, in codec 2. `golden` does the same for raw segments, and makes its bytes again; what is compressed
//! need not come out the same from another version of zstd. `data/golden-vault-0` has secrets, and a key that stands below.
//! `FLOW_HISTORY_REGENERATE=golden-sealed-1`, or `golden-vault-0`, writes it anew, until a version of the library is released.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_history::{
    At, Author, Component, Error, History, LiveStamps, Mark, MemoryStorage, Scope, Tuning, Value, VaultKey,
};
use flow_history_tests::{Files, SeededClock, crc32};

const WRITTEN: &str = "golden-sealed-1";

fn directory(golden: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(golden)
}

fn options() -> flow_history::Options {
    let mut tuning = Tuning::hostile();
    tuning.background = false;
    tuning.segment_bytes_first = 48 << 10;
    tuning.segment_bytes_max = 48 << 10;
    tuning.checkpoint_entries = 250;
    History::options().tuning(tuning).clock(SeededClock::new(16))
}

fn make() -> Files {
    let storage = MemoryStorage::new();
    let history = options().open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice").named("Alice Ä.");
    for at in 0..1_500_u64 {
        let id = format!("pump-{}", if at < 70 { at % 7 } else { at / 9 % 7 });
        let change = history.change(&alice, if at < 70 { "a change" } else { "" });
        let change = if at < 70 { change.session("session-1").attribute("ticket", "OPS-7") } else { change };
        let change = match at {
            0..7 => change.add(Component::new(id.as_str(), "processor").field("rate", at)),
            _ if at % 13 == 0 => change.set(id.as_str(), "text", "long ".repeat(90)),
            _ if ((at * at * 2_654_435_761) >> 13) % 9 < 4 => {
                change.set(id.as_str(), "x", at * 37 % 400).set(id.as_str(), "y", at * 91 % 300)
            }
            _ => change.set(id.as_str(), "rate", at),
        };
        change.append().unwrap();
        match at {
            20 => {
                history.undo(Scope::Flow, &alice).unwrap();
                history.redo(Scope::Flow, &alice).unwrap();
            }
            1_400 => drop(history.label(&alice, "released", At::Back(3)).unwrap()),
            _ => {}
        }
    }
    history.mark(&alice, Mark::Freeze).unwrap();
    history.prune(&Author::operator("olga"), 700, &LiveStamps::GiveUp).unwrap();
    history.close().unwrap();
    let history = options().open_storage(Arc::new(storage.clone())).unwrap();
    history.change(&alice, "after closing").remove("pump-1").append().unwrap();
    // As a kill leaves it: the last segment is raw.
    let mut files = storage.files();
    files.retain(|name, _| !name.starts_with("pool-") && !name.starts_with("catalog") && name != "lock");
    files
}

fn versions(history: &History) -> String {
    let mut text = String::new();
    let oldest = history.log().next().unwrap().unwrap().entry.seq.0 - 1;
    let newest = history.version().seq().0;
    // Of a long history every tenth.
    for seq in (oldest..=newest).step_by(if newest > 100 { 10 } else { 1 }) {
        let view = history.at(seq).unwrap();
        let flow = view.to_flow().unwrap();
        writeln!(text, "{seq} {} {} {}", view.version().unwrap(), flow.state_hash(), flow.len()).unwrap();
    }
    for (label, seq) in history.labels().unwrap() {
        writeln!(text, "label {label} {seq}").unwrap();
    }
    text
}

fn golden(golden: &str) -> (Files, String) {
    let directory = || directory(golden);
    if golden == WRITTEN && std::env::var("FLOW_HISTORY_REGENERATE").as_deref() == Ok(WRITTEN) {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            let files = make();
            let _ = std::fs::remove_dir_all(directory());
            std::fs::create_dir_all(directory()).unwrap();
            let storage = MemoryStorage::with_files(files.clone());
            let history = History::options().open_storage_read_only(Arc::new(storage)).unwrap();
            std::fs::write(directory().join("versions.txt"), versions(&history)).unwrap();
            for (name, bytes) in files {
                std::fs::write(directory().join(name), bytes).unwrap();
            }
        });
    }
    let mut files = Files::new();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        files.insert(name, std::fs::read(path).unwrap());
    }
    let versions = String::from_utf8(files.remove("versions.txt").unwrap()).unwrap();
    (files, versions)
}

#[test]
fn sealed_segments_a_base_and_a_checkpoint_that_were_written_once_open_for_ever() {
    for name in ["golden-sealed-0", WRITTEN] {
        opens_for_ever(name);
    }
}

fn opens_for_ever(name: &str) {
    let (files, expected) = golden(name);
    for kind in ["history", "base-", "checkpoint-", ".sealed", ".raw"] {
        assert!(files.keys().any(|name| name.contains(kind)), "{kind}: {:?}", files.keys());
    }
    let storage = MemoryStorage::with_files(files.clone());
    let history = History::options().open_storage_read_only(Arc::new(storage.clone())).unwrap();
    assert_eq!(versions(&history), expected);
    let verified = history.verify().unwrap();
    assert!(verified.checkpoints > 0, "no checkpoint is read: {:?}", verified.warnings);
    assert!(storage.files() == files, "reading changed the files");
    // And it can be gone on with.
    let history = History::options().open_storage(Arc::new(storage.clone())).unwrap();
    let before = history.version();
    history.change(&Author::user("later"), "").set("pump-2", "rate", "later").append().unwrap();
    assert_eq!(history.at(before).unwrap().version().unwrap(), before);
    history.close().unwrap();
    History::options().open_storage_read_only(Arc::new(storage)).unwrap().verify().unwrap();
}

/// The key of the golden history with secrets.
fn key() -> Arc<VaultKey> {
    Arc::new(VaultKey::new("golden-key", *b"thirty-two bytes for a key, no ."))
}

fn vault_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/golden-vault-0")
}

/// A history with a secret that is named, one that only an old version names, and one that was shredded.
fn make_with_secrets() -> Files {
    let storage = MemoryStorage::new();
    let history = options().vault_keys(key()).open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice");
    let pump = Component::new("pump", "processor").field("rate", 1);
    history.change(&alice, "add").add(pump).secret("pump", "password", "the first").append().unwrap();
    history.change(&alice, "another").secret("pump", "password", "the second, Ä").append().unwrap();
    history.change(&alice, "and a key").secret("pump", "key", "shredded").append().unwrap();
    let Some(Value::Secret(secret)) =
        history.at(At::Head).unwrap().component("pump").unwrap().unwrap().get("key").cloned()
    else {
        panic!("no secret")
    };
    history.shred(&secret, &alice).unwrap();
    history.close().unwrap();
    let mut files = storage.files();
    files.remove("lock");
    files
}

#[test]
fn secrets_that_were_sealed_once_open_under_their_key_for_ever() {
    if std::env::var("FLOW_HISTORY_REGENERATE").as_deref() == Ok("golden-vault-0") {
        let _ = std::fs::remove_dir_all(vault_directory());
        std::fs::create_dir_all(vault_directory()).unwrap();
        for (name, bytes) in make_with_secrets() {
            std::fs::write(vault_directory().join(name), bytes).unwrap();
        }
    }
    let read = std::fs::read_dir(vault_directory()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let files: Files = read.map(|path| (name(&path), std::fs::read(path).unwrap())).collect();
    assert_eq!(files.keys().filter(|name| name.starts_with("secret-")).count(), 2, "{:?}", files.keys());
    let storage = MemoryStorage::with_files(files.clone());
    let open = |key: Arc<VaultKey>| {
        History::options().vault_keys(key).open_storage_read_only(Arc::new(storage.clone())).unwrap()
    };
    let history = open(key());
    let of = |seq: u64, field: &str| {
        let pump = history.at(seq).unwrap().component("pump").unwrap().unwrap();
        match pump.get(field) {
            Some(Value::Secret(secret)) => secret.clone(),
            other => panic!("version {seq}: {other:?}"),
        }
    };
    let text =
        |seq, field| history.secret(&of(seq, field)).map(|value| value.expose_text().unwrap().to_owned());
    assert_eq!(text(1, "password").unwrap(), "the first");
    assert_eq!(text(3, "password").unwrap(), "the second, Ä");
    assert!(matches!(text(3, "key"), Err(Error::SecretGone { mark: flow_history::Seq(4) })));
    history.verify().unwrap();
    let wrong = open(Arc::new(VaultKey::new("golden-key", [1; 32])));
    assert!(matches!(wrong.secret(&of(1, "password")), Err(Error::WrongVaultKey { .. })));
    assert!(storage.files() == files, "reading changed the files");
}

#[test]
fn a_newer_format_of_any_file_is_refused_and_nothing_is_touched() {
    let (files, expected) = golden(WRITTEN);
    let mut tried = 0;
    for (name, bytes) in &files {
        let is_checkpoint = name.starts_with("checkpoint-");
        let mut newer = bytes.clone();
        let at = 8;
        newer[at] += 1;
        let sum_at = match name.as_str() {
            "history" => 68,
            _ if is_checkpoint => 132,
            _ => 508,
        };
        let sum = crc32(&newer[..sum_at]);
        newer[sum_at..sum_at + 4].copy_from_slice(&sum.to_le_bytes());
        let mut files = files.clone();
        files.insert(name.clone(), newer);
        let storage = MemoryStorage::with_files(files.clone());
        let read = History::options().open_storage_read_only(Arc::new(storage.clone()));
        if is_checkpoint {
            assert_eq!(versions(&read.unwrap()), expected, "{name}");
        } else {
            let read = read.map(|history| history.version());
            assert!(matches!(read, Err(Error::Unsupported { found: 1, max: 0, .. })), "{name}: {read:?}");
            let written = options().open_storage(Arc::new(storage.clone())).map(|history| history.version());
            assert!(matches!(written, Err(Error::Unsupported { .. })), "{name}: {written:?}");
        }
        assert!(storage.files() == files, "{name}: something was changed");
        tried += 1;
    }
    assert!(tried >= 5);
}
