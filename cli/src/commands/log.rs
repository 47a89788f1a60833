//! Who did what when.

use std::path::PathBuf;

use clap::Args;
use flow_history::{Entry, History, Seq};
use serde::Serialize;

use super::applied::command_line;
use crate::conditions::Conditions;
use crate::difference::Counts;
use crate::escape::first_line;
use crate::failure::{Exit, Failure};
use crate::header::{EntryLine, link_in_words, mark, mark_in_words, short_id};
use crate::output::{AUTHOR, DIM, HEADING, NUMBER, Output, paint};
use crate::{entry_counts, moment, opening, selector};

/// List the versions: who made each, when, why, and how much it changed
///
/// One line per version, the oldest first: its number, the part of its ID that tells it apart, the time, the author, the
/// intent, the components that were added (+), removed (-) and modified (~), and the message. Marks, such as labels and
/// deploys, change no component. Of a list that --limit ended, the last line is the command for the next page.
///
/// With --json: one line of type `entry` per version, with everything that was recorded about it; where there may be more,
/// a last one of type `next`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history log ./history
  flow-history log ./history --newest-first | head
  flow-history log ./history --component limit-1 --field threshold
  flow-history log ./history --author alice --since 2026-11-22 --text 'hot alarm' --limit 20
  flow-history log ./history --subtree alarms --kind remove --json | jq -r .author.name")]
pub(crate) struct Log {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Begin with the newest version
    #[arg(long, visible_alias = "reverse")]
    newest_first: bool,
    /// Only the newest N versions; with --after, the N that come next
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only what comes after this version in the list: the page behind one that ended with it
    #[arg(long, value_name = "VERSION", allow_hyphen_values = true)]
    after: Option<String>,
    #[command(flatten)]
    conditions: Conditions,
}

/// Entries read at once where the newest come first; the log is read forwards only.
const BATCH: u64 = 1_024;

#[derive(Serialize)]
struct NextLine<'n> {
    r#type: &'static str,
    /// The version behind which the next page begins.
    after: u64,
    line: &'n str,
}

/// Versions of a history that are listed, oldest or newest first.
struct Listed<'l> {
    history: &'l History,
    conditions: &'l Conditions,
    first: u64,
    last: u64,
    newest_first: bool,
}

type Lines<'l> = Box<dyn Iterator<Item = Result<(Entry, Counts), Failure>> + 'l>;

impl Log {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let after = self.after.as_deref().map(|after| selector::find(&history, after)).transpose()?;
        let after = after.map(|version| version.seq().0);
        let newest_first = self.newest_first;
        let mut listed = Listed { newest_first, ..Listed::all(&history, &self.conditions)? };
        let oldest = listed.first;
        match (after, self.limit) {
            (Some(after), _) if newest_first => listed.last = after.saturating_sub(1),
            (Some(after), _) => listed.first = after.saturating_add(1).max(oldest),
            // The newest of them, and the oldest of these first: where they begin has to be found.
            (None, Some(limit)) if !newest_first => listed.first = listed.first_of_newest(limit)?,
            _ => {}
        }
        let limit = self.limit.unwrap_or(u64::MAX);
        let mut ends: Option<(u64, u64)> = None;
        let mut count = 0;
        let digits = listed.digits();
        for line in listed.lines(limit)?.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            let (line, counts) = line?;
            entry(&line, counts, digits, out)?;
            ends = Some((ends.map_or(line.seq.0, |(begin, _)| begin), line.seq.0));
            count += 1;
        }
        match ends {
            Some(ends) if count == limit => {
                self.next(ends, after.is_some(), (oldest, history.version().seq().0), out)?;
            }
            None if limit > 0 && !(self.conditions.is_empty() && after.is_none()) => {
                out.note(&format!("no version fits; the newest is {}", history.version().seq()));
            }
            _ => {}
        }
        Ok(Exit::Ok)
    }

    /// Says how to go on behind a page, where there may be more.
    fn next(
        &self,
        (begin, end): (u64, u64),
        goes_on: bool,
        (oldest, newest): (u64, u64),
        out: &mut Output,
    ) -> Result<(), Failure> {
        // The newest few are listed the oldest first; what is left to list lies before them.
        let (after, forwards) = match (self.newest_first, goes_on) {
            (true, _) => (end, false),
            (false, true) => (end, true),
            (false, false) => (begin, false),
        };
        if after <= oldest && !forwards || after >= newest && forwards {
            return Ok(());
        }
        let mut words = self.conditions.words();
        words.extend((!forwards).then(|| "--newest-first".to_owned()));
        words.extend(self.limit.into_iter().flat_map(|limit| ["--limit".to_owned(), limit.to_string()]));
        words.extend(["--after".to_owned(), after.to_string()]);
        words.extend(out.json().then(|| "--json".to_owned()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let line = command_line("log", &self.dir, &words);
        if out.json() {
            return out.json_line(&NextLine { r#type: "next", after, line: &line });
        }
        let which = if forwards { "newer:" } else { "older:" };
        out.line(format!("{} {line}", paint(HEADING, which)))
    }
}

/// Prints all entries, the oldest first.
pub(crate) fn print(history: &History, out: &mut Output) -> Result<(), Failure> {
    let none = Conditions::default();
    let listed = Listed::all(history, &none)?;
    let digits = listed.digits();
    for line in listed.lines(u64::MAX)? {
        let (line, counts) = line?;
        entry(&line, counts, digits, out)?;
    }
    Ok(())
}

impl<'l> Listed<'l> {
    /// All that are kept.
    fn all(history: &'l History, conditions: &'l Conditions) -> Result<Self, Failure> {
        let (first, last) = (selector::oldest(history)?.0.saturating_add(1), history.version().seq().0);
        Ok(Self { history, conditions, first, last, newest_first: false })
    }

    /// Digits of the largest number.
    fn digits(&self) -> usize {
        self.history.version().seq().to_string().len()
    }

    /// Where the newest so many begin.
    fn first_of_newest(&self, limit: u64) -> Result<u64, Failure> {
        if self.conditions.is_empty() {
            return Ok((self.last.saturating_sub(limit) + 1).max(self.first));
        }
        let entries = self.conditions.ask(self.history)?.to(Seq(self.last)).newest_first();
        let mut first = self.last + 1;
        for entry in entries.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            first = entry?.seq.0;
        }
        Ok(first)
    }

    /// Reads them, `limit` at most being asked for.
    fn lines(self, limit: u64) -> Result<Lines<'l>, Failure> {
        let Self { history, conditions, first, last, newest_first } = self;
        if first > last {
            return Ok(Box::new(std::iter::empty()));
        }
        if !conditions.is_empty() {
            let entries = conditions.ask(history)?.from(Seq(first)).to(Seq(last));
            let entries = if newest_first { entries.newest_first() } else { entries };
            return Ok(Box::new(entries.map(|entry| {
                let entry = entry?;
                let counts = entry_counts::of(history, &entry)?;
                Ok((entry, counts))
            })));
        }
        // Every entry is wanted: following the flow is quicker than looking up what each of them touched.
        let run = move |first: u64, last: u64| {
            let lines = history.log().from(Seq(first)).to(Seq(last));
            lines.map(|line| line.map(|line| (line.entry, Counts::from(line.summary))).map_err(Failure::from))
        };
        if !newest_first {
            return Ok(Box::new(run(first, last)));
        }
        let batch = limit.clamp(1, BATCH);
        let mut left = last;
        let batches = std::iter::from_fn(move || {
            let (from, to) = (left.saturating_sub(batch - 1).max(first), left);
            left = from.saturating_sub(1);
            (to >= first).then(|| run(from, to).collect::<Vec<_>>().into_iter().rev())
        });
        Ok(Box::new(batches.flatten()))
    }
}

fn entry(entry: &Entry, counts: Counts, digits: usize, out: &mut Output) -> Result<(), Failure> {
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
