//! Opens LMDB for the benches: the one place of the repository where something unsafe is called.
//!
//! heed maps files into memory, and cannot rule out that another process cuts one short meanwhile; therefore opening is
//! unsafe. It is in a package of its own, so that every other one can forbid what is unsafe.

use std::path::Path;

pub use heed;

/// Opens the environment of a directory, or creates it; without `synced`, nothing is durable before `force_sync`.
///
/// # Errors
/// What LMDB says.
pub fn open(path: &Path, map_bytes: usize, databases: u32, synced: bool) -> heed::Result<heed::Env> {
    let mut options = heed::EnvOpenOptions::new();
    options.map_size(map_bytes).max_dbs(databases);
    // SAFETY: the directory is one that the benches made for themselves and that nobody else knows of, so that nobody
    // changes its files; each is opened once at a time. Without syncs, what a power cut leaves is never opened.
    #[allow(unsafe_code)]
    unsafe {
        if !synced {
            options.flags(heed::EnvFlags::NO_SYNC);
        }
        options.open(path)
    }
}
