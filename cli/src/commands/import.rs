//! Documents to a history.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use flow_history::{About, Flow, History, Intent, Mark, operations_between};
use flow_history_formats::node_red::{DocumentError, to_flow};
use serde::Serialize;

use super::stat::bytes;
use crate::difference::number;
use crate::failure::{Exit, Failure};
use crate::opening;
use crate::output::{NUMBER, Output, paint};
use crate::revision::Revision;

/// Make a history from documents that were saved one after the other
#[derive(Subcommand)]
pub(crate) enum Import {
    NodeRed(NodeRed),
}

/// Import documents of Node-RED, each as a version
///
/// With --index: a table, tab-separated, with a header that names at least `n`, `author`, `date` and `subject`, and beside
/// it a document `N.json` per row. Row n becomes version n of a new history, with that author, that time in its zone, and
/// the subject as message; columns `commit` and `parent_n` are kept as attributes.
///
/// With files: in the order given, by the operator, at the times at which they were written. They may continue a history.
///
/// A document that equals the one before becomes a mark that says so. One that cannot be read stops the import, and what
/// was imported stays; with --keep-going it too becomes a mark.
///
/// With --json: a line of type `note` for each mark and a last one of type `import`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history import node-red --index flows/index.tsv --into ./history
  flow-history import node-red monday.json tuesday.json --into ./history
  flow-history import node-red ~/.node-red/flows.json --into ./history")]
pub(crate) struct NodeRed {
    /// Import what cannot be read as a mark, and go on
    #[arg(long)]
    keep_going: bool,
    /// A table of revisions
    #[arg(long, value_name = "FILE", conflicts_with = "files", required_unless_present = "files")]
    index: Option<PathBuf>,
    /// Documents, oldest first
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The directory of the history; made where there is none
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

/// A document that became a mark.
#[derive(Serialize)]
struct NoteLine<'n> {
    r#type: &'static str,
    version: u64,
    file: &'n str,
    text: &'n str,
}

/// What an import came to.
#[derive(Serialize, Default)]
struct Totals {
    r#type: &'static str,
    /// Documents looked at.
    revisions: u64,
    /// Documents that became a version of their own.
    versions: u64,
    /// Documents that became a mark: equal to the one before, or not readable.
    marks: u64,
    operations: u64,
    components: u64,
    head: u64,
    head_id: String,
    /// Bytes of the documents.
    document_bytes: u64,
    /// Bytes on disk of the whole history.
    bytes: u64,
    seconds: f64,
}

/// An import on its way.
struct Importing {
    history: History,
    /// The flow at the head, and the version that made it.
    flow: Flow,
    made_by: u64,
    totals: Totals,
}

impl Import {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Import::NodeRed(node_red) => node_red.run(out),
        }
    }
}

impl NodeRed {
    fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let started = Instant::now();
        let revisions = match &self.index {
            Some(index) => Revision::of_index(index)?,
            None => self.files.iter().map(|file| Revision::of_file(file)).collect::<Result<_, _>>()?,
        };
        let mut importing = Importing::open(self)?;
        let progress = out.progress(revisions.len() as u64, "importing");
        let mut stopped = None;
        for revision in &revisions {
            progress.inc(1);
            if let Err(failure) = importing.revision(revision, self.keep_going, out) {
                stopped = Some(failure);
                break;
            }
        }
        progress.finish_and_clear();
        let mut totals = importing.close()?;
        totals.bytes = opening::to_read(&self.into)?.stats().total_bytes;
        totals.seconds = started.elapsed().as_secs_f64();
        say(&totals, out)?;
        stopped.map_or(Ok(Exit::Ok), Err)
    }
}

impl Importing {
    fn open(asked: &NodeRed) -> Result<Self, Failure> {
        if asked.index.is_some() && !opening::is_new_or_empty(&asked.into)? {
            let message = format!("{} is not empty, and row n is to become version n", asked.into.display());
            return Err(Failure::new(Exit::Conflict, message).hint("import an index into a new directory"));
        }
        let history = History::open(&asked.into)?;
        let (flow, made_by) = (history.at(history.version())?.to_flow()?, history.version().seq().0);
        let totals = Totals { r#type: "import", ..Totals::default() };
        Ok(Self { history, flow, made_by, totals })
    }

    fn revision(&mut self, revision: &Revision, keep_going: bool, out: &mut Output) -> Result<(), Failure> {
        let document = revision.read()?;
        self.totals.revisions += 1;
        self.totals.document_bytes += document.len() as u64;
        let flow = match to_flow(&document, &self.flow) {
            Ok(flow) => flow,
            Err(error) if keep_going => {
                return self.note(revision, &not_readable(&error, &revision.file_name()), out);
            }
            Err(error) => {
                return Err(Failure::new(
                    Exit::Invalid,
                    not_readable(&error, &revision.path.to_string_lossy()),
                )
                .hint("what came before it was imported; --keep-going imports it as a mark and goes on"));
            }
        };
        let operations = operations_between(&self.flow, &flow);
        if operations.is_empty() {
            return self.note(revision, &format!("equals version {}", self.made_by), out);
        }
        let count = operations.len() as u64;
        let mut change = self
            .history
            .change(&revision.author, &revision.message)
            .intent(Intent::Import)
            .host_time(revision.time)
            .operations(operations);
        for (name, value) in &revision.attributes {
            change = change.attribute(name, value);
        }
        self.made_by = change.append()?.seq().0;
        self.flow = flow;
        self.totals.versions += 1;
        self.totals.operations += count;
        Ok(())
    }

    /// Keeps a document that is no version of its own as a mark with the same header.
    fn note(&mut self, revision: &Revision, text: &str, out: &mut Output) -> Result<(), Failure> {
        let attributes = revision.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut about = About::message(&revision.message);
        about.host_time = Some(revision.time);
        about.attributes = attributes.collect();
        let mark = Mark::ImportNote { text: text.into() };
        let version = self.history.mark_with(&revision.author, mark, about)?.seq().0;
        self.totals.marks += 1;
        if out.json() {
            let file = revision.file_name();
            return out.json_line(&NoteLine { r#type: "note", version, file: &file, text });
        }
        out.note(&format!("version {version} is a mark: {text}"));
        Ok(())
    }

    fn close(self) -> Result<Totals, Failure> {
        let Self { history, flow, mut totals, .. } = self;
        totals.components = flow.len() as u64;
        totals.head = history.version().seq().0;
        totals.head_id = history.version().to_string();
        history.close()?;
        Ok(totals)
    }
}

/// Where a document is wrong, in the form in which editors jump there.
fn not_readable(error: &DocumentError, file: &str) -> String {
    format!("{file}:{}:{}: {}", error.line, error.column, error.kind)
}

fn say(totals: &Totals, out: &mut Output) -> Result<(), Failure> {
    if out.json() {
        return out.json_line(totals);
    }
    let Totals { revisions, versions, marks, operations, components, .. } = *totals;
    out.line(format!(
        "{} to {} and {}, {operations} operations; the newest, version {}, has {components} components and wires",
        number(usize::try_from(revisions).unwrap_or(usize::MAX), "revision"),
        number(usize::try_from(versions).unwrap_or(usize::MAX), "version"),
        number(usize::try_from(marks).unwrap_or(usize::MAX), "mark"),
        paint(NUMBER, totals.head),
    ))?;
    let (documents, disk) = (bytes(totals.document_bytes), bytes(totals.bytes));
    out.line(format!("{documents} of documents in {disk} on disk, {:.2} seconds", totals.seconds))
}
