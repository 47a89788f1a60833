//! One document of an import, with who, when and why.

use std::fs;
use std::path::{Path, PathBuf};

use flow_history::{Author, Timestamp};
use flow_history_replay::HEADER_TEXT_BYTES_MAX;

use crate::failure::{Exit, Failure};
use crate::moment;
use crate::operator::login_name;

/// One document that becomes a version.
pub(crate) struct Revision {
    /// Where it is.
    pub(crate) path: PathBuf,
    pub(crate) author: Author,
    pub(crate) time: Timestamp,
    /// What the author said of it.
    pub(crate) message: String,
    pub(crate) attributes: Vec<(&'static str, String)>,
}

impl Revision {
    /// A document by itself: the operator imports it, and its file says when it was written.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let written = metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
        let time = written.map_or_else(Timestamp::now, |time| Timestamp::from_millis(time.as_millisecond()));
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self {
            path: path.to_owned(),
            author: Author::operator(&login_name()),
            time,
            message: format!("Import {name}"),
            attributes: vec![("file", path.to_string_lossy().into_owned())],
        })
    }

    /// The revisions of an index, in its order.
    pub(crate) fn of_index(index: &Path) -> Result<Vec<Self>, Failure> {
        let text = fs::read_to_string(index).map_err(|error| unreadable(index, &error))?;
        let mut lines = text.lines().enumerate();
        let header = lines.next().map(|(_, line)| line).unwrap_or_default();
        let columns =
            Columns::of(header.trim_start_matches('\u{feff}')).map_err(|what| wrong(index, 1, &what))?;
        let folder = index.parent().unwrap_or(Path::new(""));
        lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| columns.read(line, folder).map_err(|what| wrong(index, at + 1, &what)))
            .collect()
    }

    /// The name of its file.
    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The document.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Failure> {
        fs::read(&self.path).map_err(|error| unreadable(&self.path, &error))
    }
}

/// Where the columns that matter stand.
struct Columns {
    n: usize,
    author: usize,
    date: usize,
    subject: usize,
    hash: Option<usize>,
    parents: Option<usize>,
}

impl Columns {
    fn of(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.split('\t').map(str::trim).collect();
        let optional = |name: &str| names.iter().position(|held| *held == name);
        let column = |name: &str| optional(name).ok_or_else(|| format!("there is no column `{name}`"));
        Ok(Self {
            n: column("n")?,
            author: column("author")?,
            date: column("date")?,
            subject: column("subject")?,
            hash: optional("commit"),
            parents: optional("parent_n"),
        })
    }

    fn read(&self, line: &str, folder: &Path) -> Result<Revision, String> {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default().trim();
        let n = cell(self.n);
        // It becomes the name of a file: nothing but a number leads nowhere else.
        if n.is_empty() || !n.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{n}` is not the number of a revision"));
        }
        let date = cell(self.date);
        let time = moment::parse_with_zone(date).ok_or_else(|| {
            format!("`{date}` is not a time with its zone, such as 2024-09-09T09:17:31-05:00")
        })?;
        let file = format!("{n}.json");
        let mut attributes = vec![("file", file.clone())];
        let rest = [("commit", self.hash), ("parents", self.parents)];
        let rest = rest.into_iter().filter_map(|(name, at)| Some((name, cell(at?))));
        attributes.extend(
            rest.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.to_owned())),
        );
        let (message, cut) = within_the_limit(cell(self.subject));
        if cut {
            attributes.push(("message-bytes", cell(self.subject).len().to_string()));
        }
        let author = match cell(self.author) {
            "" => Author::system("import"),
            name => Author::user(name),
        };
        Ok(Revision { path: folder.join(file), author, time, message, attributes })
    }
}

/// A message no longer than a header takes, and whether it had to be cut.
fn within_the_limit(message: &str) -> (String, bool) {
    const ELLIPSIS: &str = " ...";
    if message.len() <= HEADER_TEXT_BYTES_MAX {
        return (message.to_owned(), false);
    }
    let end = message.floor_char_boundary(HEADER_TEXT_BYTES_MAX - ELLIPSIS.len());
    (message.get(..end).unwrap_or_default().to_owned() + ELLIPSIS, true)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let exit = if error.kind() == std::io::ErrorKind::InvalidData { Exit::Invalid } else { Exit::Failed };
    Failure { exit, ..Failure::file("read", path.display(), error) }
}

fn wrong(index: &Path, line: usize, what: &str) -> Failure {
    Failure::new(Exit::Invalid, format!("{}:{line}: {what}", index.display()))
        .hint("an index is tab-separated, with a header that names at least n, author, date and subject")
}

#[cfg(test)]
mod tests {
    use flow_history_replay::HEADER_TEXT_BYTES_MAX;

    use super::within_the_limit;

    #[test]
    fn a_message_is_cut_between_characters() {
        let long = "ü".repeat(HEADER_TEXT_BYTES_MAX);
        let (message, cut) = within_the_limit(&long);
        assert!(cut && message.len() <= HEADER_TEXT_BYTES_MAX && message.ends_with("ü ..."));
        assert_eq!(within_the_limit("short"), ("short".to_owned(), false));
    }
}
