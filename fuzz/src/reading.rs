//! Reading whatever is there, and what must be true of it.

use std::sync::Arc;

use flow_history::{MemoryStorage, Options};
use flow_history_tests::Files;

/// Opens files and reads everything: an error, or versions that can all be read, each in the same way by every route.
/// Returns how many entries there are.
///
/// # Panics
/// Where what opens cannot be read.
pub(crate) fn read_all(files: Files) -> Option<u64> {
    let storage = MemoryStorage::with_files(files.clone());
    let history = Options::new().open_storage_read_only(Arc::new(storage.clone())).ok()?;
    let verified = history.verify();
    let newest = history.version().seq().0;
    for version in 0..=newest.min(64) {
        let view = history.at(version).and_then(|view| view.to_flow());
        // What verifies can be read.
        assert!(view.is_ok() || verified.is_err(), "version {version} of {newest}: {view:?}");
    }
    for line in history.log() {
        if line.is_err() {
            assert!(verified.is_err(), "what verifies has an entry that cannot be read");
            break;
        }
    }
    assert!(storage.files() == files, "reading changed the files");
    verified.ok().map(|verified| verified.entries)
}
