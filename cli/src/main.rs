//! The program `flow-history`: reads, compares, verifies and repairs by new entries a directory that holds a history,
//! with or without the host that writes it.
//!
//! A command line becomes [`args::Arguments`]; a module of [`commands`] opens the history, asks the library, and says
//! the answer through [`output::Output`], as text or as JSON Lines; what goes wrong becomes a [`failure::Failure`], which
//! alone decides the exit code.

#![deny(clippy::indexing_slicing)]

mod args; //       the command line
mod opening; //    a directory to a history, for reading or writing
mod selector; //   `42`, `@-3`, a label, a time, a UUID to a version
mod moment; //     times as people write and read them
mod scope; //      whose changes, and on which terms
mod operator; //   who works at this command line
mod conditions; // the conditions on which `log` lists a version
mod comparison; // what a field is asked about
mod nearest; //    what somebody may have meant
mod revision; //   one document of an import, with who, when and why
mod story; //      the day that `demo` plays
mod commands; //   one module per command
mod listing; //    a flow as a table
mod names; //      what a component is called
mod difference; // what changed, for a person and as JSON Lines
mod line_difference; // what changed in a long text
mod entry_counts; // what one entry changed, in numbers
mod header; //     an entry's header, for a person and as JSON Lines
mod secrets; //    fields that may not be shown
mod value; //      a value on one line, and as JSON
mod escape; //     data that cannot steer a terminal
mod output; //     text or JSON Lines on stdout
mod failure; //    errors to messages, hints and exit codes

use std::process::ExitCode;

use crate::args::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let mut out = Output::new(&arguments.global);
    let outcome = commands::run(&arguments.command, &mut out);
    let outcome = outcome.and_then(|exit| out.flush().map(|()| exit));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => say(&failure, &mut out).into(),
    }
}

/// Says what went wrong: on stderr for a person, as the last line on stdout for a program.
fn say(failure: &Failure, out: &mut Output) -> Exit {
    if failure.exit != Exit::Ok {
        // What was printed before belongs before the error; where nobody reads stdout any more, nobody is told.
        let _ = out.error(failure).and_then(|()| out.flush());
    }
    failure.exit
}
