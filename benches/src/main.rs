//! The program that measures: `compare` stands all systems side by side, `growth` us beside ourselves.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flow_history_benches::compare::{Child, Compare, Ending, heed_interrupts};
use flow_history_benches::growth::Growth;
use flow_history_benches::peers::Outcome;

/// Measures flow-history beside what people would use instead.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All systems side by side, rounds interleaved, the floor measured between them.
    Compare(Compare),
    /// Our own rows as histories get longer and flows larger, as tables and plots.
    Growth(Growth),
    /// What `compare` does in processes of their own.
    #[command(hide = true)]
    Child(Child),
}

fn run(arguments: Arguments) -> Outcome<Ending> {
    match arguments.command {
        Command::Child(child) => child.run().map(|()| Ending::Whole),
        Command::Growth(growth) => {
            heed_interrupts()?;
            growth.run()
        }
        Command::Compare(compare) => {
            heed_interrupts()?;
            compare.run()
        }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(Ending::Whole) => ExitCode::SUCCESS,
        Ok(Ending::Stopped) => ExitCode::from(130),
        Ok(Ending::Wrong) => ExitCode::from(2),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}
