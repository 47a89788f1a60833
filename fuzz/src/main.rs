//! Replays a corpus: feeds each file that is named to every target.

use std::io::Write;
use std::process::ExitCode;

use flow_history_fuzz::{DOCUMENT, TARGETS};

fn main() -> ExitCode {
    let mut fed = 0;
    for path in std::env::args_os().skip(1) {
        match std::fs::read(&path) {
            Ok(bytes) => TARGETS.iter().chain([&DOCUMENT]).for_each(|(_, target)| target(&bytes)),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
        fed += 1;
    }
    let _ = writeln!(std::io::stdout(), "{fed} files, {} targets: all returned", TARGETS.len() + 1);
    ExitCode::SUCCESS
}
