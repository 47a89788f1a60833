//! Running the program; documents and histories to run it on.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use flow_history::{Author, Component, Error, FlowVersionId, History};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_flow-history");

/// How a run of the program ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The lines of JSON on stdout. Panics where one is none, or has no type.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.stdout.lines().map(|line| serde_json::from_str(line).expect(line));
        lines.inspect(|line: &Value| assert!(line["type"].is_string(), "{line}")).collect()
    }

    /// The same, checked to have done what it was asked, silently on stderr.
    pub(crate) fn well(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self
    }

    /// The same, checked to have failed with this code and to say what to do.
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains("error: ") && self.stderr.contains("hint: "), "{}", self.stderr);
        self
    }
}

/// Runs the program.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    let mut program = Command::new(PROGRAM);
    program.args(arguments).env_remove("CLICOLOR_FORCE").env("LOGNAME", "tester");
    Ran::of(&program.output().unwrap())
}

/// Runs the program with `--json`.
pub(crate) fn json(arguments: &[&str]) -> (Ran, Vec<Value>) {
    let ran = run(&[arguments, &["--json"]].concat());
    let lines = ran.lines();
    (ran, lines)
}

/// A new directory, and the path of one inside it that does not exist.
pub(crate) fn place() -> (TempDir, String) {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("flow").to_str().unwrap().to_owned();
    (temporary, path)
}

/// Opens a history to write. A child that another test has forked holds the locks of this process, also those just let
/// go, until it becomes its program; so a lock that is taken is waited for.
pub(crate) fn open(dir: &str) -> History {
    let tries = std::iter::repeat_with(|| History::open(dir)).take(200);
    let free = |opened: &Result<History, Error>| {
        let locked = matches!(opened, Err(Error::Locked { .. }));
        if locked {
            std::thread::sleep(Duration::from_millis(10));
        }
        !locked
    };
    tries.into_iter().find(free).unwrap().unwrap()
}

/// A history of three versions: a pump is added, set, and set again.
pub(crate) fn pump(dir: &str) -> Vec<FlowVersionId> {
    let history = History::open(dir).unwrap();
    let alice = Author::user("alice");
    let add = Component::new("pump-1", "processor").field("name", "Pump").field("rate", 80).field("x", 10);
    let ids = vec![
        history.change(&alice, "add a pump").add(add).append().unwrap(),
        history.change(&alice, "slow it down").set("pump-1", "rate", 8).append().unwrap(),
        history.change(&alice, "drag it").set("pump-1", "x", 20).append().unwrap(),
    ];
    history.close().unwrap();
    ids
}

/// Documents as Node-RED saves them: two versions, one that is broken, one that repeats the second, and a third.
pub(crate) const DOCUMENTS: [&str; 5] = [
    r#"[{"id":"t1","type":"tab","label":"Plant"},{"id":"in","type":"inject","z":"t1","x":100,"y":80,"wires":[[]]}]"#,
    r#"[{"id":"t1","type":"tab","label":"Plant"},{"id":"in","type":"inject","z":"t1","x":100,"y":80,"wires":[["out"]]},{"id":"out","type":"debug","z":"t1","x":300,"y":80,"wires":[]}]"#,
    "[\n{\"id\":\"in\"\n\"type\":\"inject\"}]",
    r#"[ {"id":"t1","type":"tab","label":"Plant"}, {"id":"in","type":"inject","z":"t1","x":100,"y":80,"wires":[["out"]]}, {"id":"out","type":"debug","z":"t1","x":300,"y":80,"wires":[]} ]"#,
    r#"[{"id":"t1","type":"tab","label":"Plant"},{"id":"fn","type":"function","z":"t1","func":"a\nb\nreturn msg;","x":100,"y":80,"wires":[["out"]]},{"id":"out","type":"debug","z":"t1","x":300,"y":90,"wires":[]}]"#,
];

/// Writes the documents with their index and returns the path of the index.
pub(crate) fn documents(folder: &Path) -> String {
    let mut index =
        "n\tcommit\tauthor\tdate\tsubject\tbytes\tcomponents\tvalid_json\tparent_n\tscope\n".to_owned();
    for (at, document) in DOCUMENTS.iter().enumerate() {
        let n = at + 1;
        let (author, parent) =
            (["ann", "ben"][at % 2], if at == 0 { String::new() } else { format!("{at:04}") });
        index += &format!(
            "{n:04}\tc0ffee{n}\t{author}\t2024-09-0{n}T09:17:31-05:00\tedit {n}\t0\t0\tyes\t{parent}\thead\n"
        );
        fs::write(folder.join(format!("{n:04}.json")), document).unwrap();
    }
    let path = folder.join("index.tsv");
    fs::write(&path, index).unwrap();
    path.to_str().unwrap().to_owned()
}
