//! Who did what when.

use std::path::PathBuf;

use clap::Args;
use flow_history::{History, LogLine, Seq};

use crate::difference::Counts;
use crate::escape::first_line;
use crate::failure::{Exit, Failure};
use crate::header::{EntryLine, link_in_words, mark, mark_in_words, short_id};
use crate::moment;
use crate::opening;
use crate::output::{AUTHOR, DIM, NUMBER, Output, paint};

/// List the versions: who made each, when, why, and how much it changed
///
/// One line per version, the oldest first: its number, the part of its ID that tells it apart, the time, the author, the
/// intent, the components that were added (+), removed (-) and modified (~), and the message. Marks, such as labels and
/// deploys, change no component.
///
/// With --json: one line of type `entry` per version, with everything that was recorded about it.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history log ./history
  flow-history log ./history --newest-first | head
  flow-history log ./history --limit 20 --json | jq -r .author.name")]
pub(crate) struct Log {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Begin with the newest version
    #[arg(long, visible_alias = "reverse")]
    newest_first: bool,
    /// Only the newest N versions
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Entries read at once where the newest come first; the log is read forwards only.
const BATCH: u64 = 1_024;

impl Log {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        print(&opening::to_read(&self.dir)?, self.newest_first, self.limit, out)?;
        Ok(Exit::Ok)
    }
}

/// Prints the newest `limit` entries.
pub(crate) fn print(
    history: &History,
    newest_first: bool,
    limit: Option<u64>,
    out: &mut Output,
) -> Result<(), Failure> {
    let head = history.version().seq().0;
    let first = limit.map_or(1, |limit| head.saturating_sub(limit) + 1);
    let digits = head.to_string().len();
    if !newest_first {
        for line in history.log().from(Seq(first)).to(Seq(head)) {
            entry(&line?, digits, out)?;
        }
        return Ok(());
    }
    let mut last = head;
    while last >= first {
        let from = last.saturating_sub(BATCH - 1).max(first).max(1);
        let lines: Vec<LogLine> = history.log().from(Seq(from)).to(Seq(last)).collect::<Result<_, _>>()?;
        lines.iter().rev().try_for_each(|line| entry(line, digits, out))?;
        last = from - 1;
        if last == 0 {
            break;
        }
    }
    Ok(())
}

fn entry(line: &LogLine, digits: usize, out: &mut Output) -> Result<(), Failure> {
    let entry = &line.entry;
    let counts = Counts::from(line.summary);
    if out.json() {
        return out.json_line(&EntryLine::of(entry, counts));
    }
    let header = &entry.header;
    let time = moment::shown(header.log_time, out.zone());
    // Padded before they are painted: escapes have no width.
    let (number, author) =
        (format!("{:>digits$}", entry.seq), format!("{:<10}", first_line(&header.author.name)));
    let (intent, counts) = (header.intent.name(), counts.brief());
    let mut message = first_line(&header.message);
    if message.is_empty() {
        message = header.links.iter().map(link_in_words).collect::<Vec<_>>().join(", ");
    }
    let what = match (mark(entry).map(mark_in_words), message.is_empty()) {
        (Some(mark), true) => mark,
        (Some(mark), false) => format!("{mark}  {}", paint(DIM, message)),
        (None, _) => format!("{counts:<20}  {message}"),
    };
    let line = format!(
        "{}  {}  {time}  {}  {intent:<7}  {what}",
        paint(NUMBER, number),
        paint(DIM, short_id(entry)),
        paint(AUTHOR, author),
    );
    out.line(line.trim_end())
}
