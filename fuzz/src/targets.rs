//! What bytes are fed to. Each target takes bytes and must return, whatever they are.

use flow_history::Flow;
use flow_history_checkpoint::Checkpoint;
use flow_history_formats::node_red::{Layout, to_document, to_flow};

use crate::forging::{self, SEGMENT, SOUND};
use crate::reading::read_all;
use crate::sealing;
use crate::working;

/// A name, and what bytes are fed to.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("frame", frame),
    ("payload", payload),
    ("segment", segment),
    ("sealed", sealed),
    ("checkpoint", checkpoint),
    ("directory", directory),
    ("secret", secret),
    ("operations", working::operations),
    ("crashes", working::crashes),
];

/// What is fed to documents; it is not in [`TARGETS`], because it takes text.
pub const DOCUMENT: Target = ("document", document);

/// Frames of the only segment of a history, with headers by these bytes and checksums that match.
pub fn frame(bytes: &[u8]) {
    let mut files = SOUND.clone();
    files.insert(SEGMENT.to_owned(), forging::frames(bytes));
    read_all(files);
}

/// The payload of a frame whose checksums and chain match.
pub fn payload(bytes: &[u8]) {
    let mut files = SOUND.clone();
    files.insert(SEGMENT.to_owned(), forging::payload(bytes));
    read_all(files);
}

/// The only segment of a history, as it is.
pub fn segment(bytes: &[u8]) {
    let mut files = SOUND.clone();
    files.insert(SEGMENT.to_owned(), bytes.to_vec());
    read_all(files);
}

/// A sealed segment, whose header's checksum is made to match.
pub fn sealed(bytes: &[u8]) {
    let mut files = SOUND.clone();
    files.remove(SEGMENT);
    files.insert("segment-0000000001.sealed".to_owned(), forging::summed(bytes, 508));
    read_all(files);
}

/// A checkpoint, as it is and with the checksum of its header made to match: an error, or a flow.
pub fn checkpoint(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), forging::summed(bytes, 132)] {
        let Ok(checkpoint) = Checkpoint::open(bytes) else { continue };
        let _ = checkpoint.attachment();
        let _ = checkpoint.to_flow().map(|flow| flow.state_hash());
        let _ = checkpoint.component("pump-1");
    }
}

/// A directory: files with names and contents by these bytes beside those of a sound history.
pub fn directory(bytes: &[u8]) {
    read_all(forging::directory(bytes));
}

/// The file of a secret, as it is and with flips by these bytes and a checksum that matches: an error, or the secret.
pub fn secret(bytes: &[u8]) {
    for file in [bytes.to_vec(), sealing::flipped(bytes)] {
        sealing::read(file);
    }
}

/// A Node-RED document: an error, or a flow that exports to a document of the same flow.
pub fn document(bytes: &[u8]) {
    let Ok(flow) = to_flow(bytes, &Flow::new()) else { return };
    let Ok(text) = to_document(&flow, Layout::Compact) else { return };
    let again = to_flow(text.as_bytes(), &flow);
    assert!(again.is_ok_and(|again| again == flow), "an exported document is another flow");
}

#[cfg(test)]
mod tests {
    use super::{DOCUMENT, TARGETS};
    use crate::forging::SOUND;

    #[test]
    fn sound_bytes_and_every_single_flip_of_them_return() {
        let document = br#"[{"id":"a","type":"tab"},{"id":"b","type":"inject","z":"a","wires":[["c"]]}]"#;
        let seeds = SOUND.values().cloned().chain([document.to_vec(), Vec::new()]);
        for mut seed in seeds {
            for at in (0..seed.len()).step_by(11).chain([usize::MAX]) {
                if let Some(byte) = seed.get_mut(at) {
                    *byte ^= 0x10;
                }
                TARGETS.iter().chain([&DOCUMENT]).for_each(|(_, target)| target(&seed));
                if let Some(byte) = seed.get_mut(at) {
                    *byte ^= 0x10;
                }
            }
        }
    }

    /// What was found once, and what leads far into each target, returns for ever.
    #[test]
    fn the_corpus_returns() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut fed = 0;
        for (name, target) in TARGETS.iter().chain([&DOCUMENT]) {
            let entries = std::fs::read_dir(corpus.join(name));
            let entries = entries.unwrap_or_else(|error| panic!("corpus/{name}: {error}"));
            for entry in entries {
                target(&std::fs::read(entry.unwrap().path()).unwrap());
                fed += 1;
            }
        }
        assert!(fed >= 3 * (TARGETS.len() + 1), "{fed}");
    }

    /// The corpus leads where it is meant to: some of it is read as histories with entries.
    #[test]
    fn forged_bytes_pass_the_checksums() {
        use crate::forging;
        use crate::reading::read_all;
        let sound = forging::SOUND.clone();
        let entries = read_all(sound).unwrap();
        assert_eq!(entries, 3);
        let mut files = forging::SOUND.clone();
        files.insert(forging::SEGMENT.to_owned(), forging::payload(&forging::sound_payload()));
        assert!(read_all(files).is_some_and(|entries| entries >= 1), "a forged payload is not read");
    }
}
