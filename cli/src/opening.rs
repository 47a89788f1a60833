//! A directory to a history, for reading or writing.

use std::path::Path;

use flow_history::History;

use crate::failure::{Exit, Failure};

/// Opens a history to read it, which works while a host writes it, needs no permission to write, and creates nothing.
pub(crate) fn to_read(dir: &Path) -> Result<History, Failure> {
    must_be_a_directory(dir)?;
    Ok(History::open_read_only(dir)?)
}

/// As [`to_read`], for whoever wants to know why a history cannot be read.
pub(crate) fn to_read_at_all(dir: &Path) -> Result<Result<History, flow_history::Error>, Failure> {
    must_be_a_directory(dir)?;
    Ok(History::open_read_only(dir))
}

/// Opens a history that exists to append to it.
pub(crate) fn to_write(dir: &Path) -> Result<History, Failure> {
    must_be_a_directory(dir)?;
    Ok(History::options().must_exist(true).open(dir)?)
}

fn must_be_a_directory(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    let what = if dir.exists() { "is a file; a history is a directory" } else { "does not exist" };
    let hint = "`flow-history demo` or `flow-history import` makes a history";
    Err(Failure::new(Exit::NoHistory, format!("{} {what}", dir.display())).hint(hint))
}

/// Whether there is nothing at this path, or a directory with nothing in it.
pub(crate) fn is_new_or_empty(dir: &Path) -> Result<bool, Failure> {
    match std::fs::read_dir(dir) {
        Ok(mut inside) => Ok(inside.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Failure::file("read", dir.display(), &error)),
    }
}
