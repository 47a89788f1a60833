//! Bytes as a segment, a checkpoint, a document.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use flow_history::{Author, Component, Flow, MemoryStorage, Options};
use flow_history_checkpoint::Checkpoint;
use flow_history_formats::node_red::{Layout, to_document, to_flow};

/// A name, and what bytes are fed to.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 3] = [("segment", segment), ("checkpoint", checkpoint), ("document", document)];

/// The files of a sound history of three versions.
static SOUND: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let storage = MemoryStorage::new();
    if let Ok(history) = Options::new().open_storage(Arc::new(storage.clone())) {
        let alice = Author::user("alice");
        let pump = Component::new("pump-1", "processor").field("rate", 80);
        let _ = history.change(&alice, "add the pump").add(pump).append();
        let _ = history.change(&alice, "slow it down").set("pump-1", "rate", 8).append();
        let _ = history.change(&alice, "take it away").remove("pump-1").append();
        let _ = history.close();
    }
    storage.files()
});

/// The only segment of a history: an error, or versions that can all be read.
fn segment(bytes: &[u8]) {
    let mut files = SOUND.clone();
    files.insert("segment-0000000001.raw".to_owned(), bytes.to_vec());
    let storage = Arc::new(MemoryStorage::with_files(files));
    let Ok(history) = Options::new().open_storage_read_only(storage) else { return };
    let newest = history.version().seq().0;
    for version in 0..=newest.min(64) {
        assert!(history.at(version).is_ok(), "version {version} of {newest} cannot be read");
    }
}

/// A checkpoint: an error, or a flow.
fn checkpoint(bytes: &[u8]) {
    let Ok(checkpoint) = Checkpoint::open(bytes) else { return };
    let _ = checkpoint.attachment();
    let _ = checkpoint.to_flow().map(|flow| flow.state_hash());
}

/// A Node-RED document: an error, or a flow that exports to a document of the same flow.
fn document(bytes: &[u8]) {
    let Ok(flow) = to_flow(bytes, &Flow::new()) else { return };
    let Ok(text) = to_document(&flow, Layout::Compact) else { return };
    let again = to_flow(text.as_bytes(), &flow);
    assert!(again.is_ok_and(|again| again == flow), "an exported document is another flow");
}

#[cfg(test)]
mod tests {
    use super::{SOUND, TARGETS};

    #[test]
    fn sound_bytes_and_every_single_flip_of_them_return() {
        let document = br#"[{"id":"a","type":"tab"},{"id":"b","type":"inject","z":"a","wires":[["c"]]}]"#;
        let seeds = SOUND.values().cloned().chain([document.to_vec(), Vec::new()]);
        for mut seed in seeds {
            for (_, target) in TARGETS {
                target(&seed);
            }
            for at in (0..seed.len()).step_by(7) {
                seed[at] ^= 0x10;
                TARGETS.iter().for_each(|(_, target)| target(&seed));
                seed[at] ^= 0x10;
            }
        }
    }
}
