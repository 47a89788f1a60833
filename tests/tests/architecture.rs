//! Goal: the sources keep the rules of the house: dependencies point one way, each named package has one home, the file
//! system has one door, and one word is used for one thing.
//!
//! Method: the sources are read as text, without comments and literals where only code counts. A rule that no source
//! could break is not worth a test, so the scanner is tried on sources that break each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

const CRATES: [&str; 9] =
    ["flow", "replay", "checkpoint", "engine", "formats", "cli", "tests", "benches", "fuzz"];

/// Every Rust source of the repository, by its path from the root.
pub(crate) fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut pending: Vec<PathBuf> =
        CRATES.iter().map(|name| root().join(name)).chain([root().join("fuzz")]).collect();
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "data" {
                pending.push(path);
            } else if name.ends_with(".rs") {
                let short = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                sources.insert(short, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(sources.len() > 80, "the sources were not found: {}", sources.len());
    sources
}

/// The code of a source: comments gone, the content of literals blank, line breaks kept.
fn code_of(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut code = String::new();
    let mut index = 0;
    let skip = |code: &mut String, from: usize, to: usize| {
        (from..to).filter(|index| at(*index) == '\n').for_each(|_| code.push('\n'));
        to
    };
    while index < chars.len() {
        let here = at(index);
        if here == '/' && at(index + 1) == '/' {
            let end = (index..chars.len()).find(|end| at(*end) == '\n').unwrap_or(chars.len());
            index = skip(&mut code, index, end);
        } else if here == '/' && at(index + 1) == '*' {
            let end = (index + 2..chars.len())
                .find(|end| at(*end) == '*' && at(end + 1) == '/')
                .unwrap_or(chars.len());
            index = skip(&mut code, index, end + 2);
        } else if here == 'r'
            && !at(index.wrapping_sub(1)).is_alphanumeric()
            && matches!(at(index + 1), '"' | '#')
        {
            let hashes = (index + 1..).take_while(|hash| at(*hash) == '#').count();
            if at(index + 1 + hashes) != '"' {
                code.push(here);
                index += 1;
                continue;
            }
            let closes = |end: usize| at(end) == '"' && (1..=hashes).all(|hash| at(end + hash) == '#');
            let end = (index + 2 + hashes..chars.len()).find(|end| closes(*end)).unwrap_or(chars.len());
            code.push_str("\"\"");
            index = skip(&mut code, index, end + 1 + hashes);
        } else if here == '"' {
            let mut end = index + 1;
            while end < chars.len() && at(end) != '"' {
                end += if at(end) == '\\' { 2 } else { 1 };
            }
            code.push_str("\"\"");
            index = skip(&mut code, index, end + 1);
        } else if here == '\'' && (at(index + 1) == '\\' || at(index + 2) == '\'') {
            let from = if at(index + 1) == '\\' { index + 3 } else { index + 2 };
            let end = (from..chars.len()).find(|end| at(*end) == '\'').unwrap_or(chars.len());
            code.push_str("' '");
            index = skip(&mut code, index, end + 1);
        } else {
            code.push(here);
            index += 1;
        }
    }
    code
}

/// The identifiers of a piece of code.
fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The words of an identifier, small: `NodeRed` and `node_red` are both `node`, `red`.
fn words(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in identifier.chars() {
        if c == '_' || (c.is_uppercase() && was_small) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        was_small = c.is_lowercase() || c.is_numeric();
    }
    words
}

fn check_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    let code = code_of(
        "let a = \"std::fs // x\"; // std::fs\n/* redb\n */ let b = '\"'; let c = r#\"a\"b\"#; x.y::<'a>()",
    );
    assert_eq!(code, "let a = \"\"; \n\n let b = ' '; let c = \"\"; x.y::<'a>()");
    assert_eq!(words("NodeRed"), ["node", "red"]);
    assert_eq!(words("provenance_event2"), ["provenance", "event2"]);
    assert_eq!(words("MAX_EVENTS"), ["max", "events"]);
    assert_eq!(bare_matches("fn f() { matches!(a, B); }"), 1);
    assert_eq!(
        bare_matches("fn f() -> bool { assert!(matches!(a, B)); let x = matches!(a, B); matches!(a, (B)) }"),
        0
    );
}

#[test]
fn the_file_system_has_one_door() {
    let allowed = |path: &str| {
        path == "engine/src/file_storage.rs"
            || path == "engine/src/open_files.rs"
            || ["cli/", "tests/", "benches/", "fuzz/"].iter().any(|top| path.starts_with(top))
            || path.contains("/tests/")
            || path.contains("/examples/")
    };
    let mut seen = 0;
    let mut found = Vec::new();
    for (path, source) in sources() {
        let code = code_of(&source);
        let uses = ["std::fs", "fs::File", "OpenOptions", "rustix", "tempfile"]
            .iter()
            .any(|word| code.contains(word))
            || code.contains("use std::{") && identifiers(&code).any(|word| word == "fs");
        seen += usize::from(uses);
        if uses && !allowed(&path) {
            found.push(path);
        }
    }
    check_none("these reach past `Storage`", found);
    assert!(seen > 3, "the scanner is blind");
}

/// The names on the left of a section of a manifest.
fn section<'m>(manifest: &'m str, wanted: &'m str) -> impl Iterator<Item = String> + 'm {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.trim_matches(['[', ']']).ends_with(wanted);
            return None;
        }
        let name = line.split(['=', '.', ' ']).next()?.trim();
        (inside && !name.is_empty() && !name.starts_with('#')).then(|| name.to_owned())
    })
}

fn manifest(name: &str) -> String {
    std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap()
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 6] = [
        ("flow", &[]),
        ("replay", &["flow-history-flow"]),
        ("checkpoint", &["flow-history-flow"]),
        ("engine", &["flow-history-flow", "flow-history-replay", "flow-history-checkpoint"]),
        ("formats", &["flow-history-flow"]),
        ("cli", &["flow-history", "flow-history-flow", "flow-history-replay", "flow-history-formats"]),
    ];
    let mut seen = 0;
    for (name, allowed) in allowed {
        for dependency in
            section(&manifest(name), "dependencies").filter(|name| name.starts_with("flow-history"))
        {
            assert!(allowed.contains(&dependency.as_str()), "{name} may not use {dependency}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "the manifests were not read: {seen}");
}

#[test]
fn no_peer_is_what_a_host_links() {
    let benches = manifest("benches");
    let peers: Vec<String> = benches
        .lines()
        .filter(|line| line.contains("optional = true"))
        .filter_map(|line| Some(line.split(['=', '.', ' ']).next()?.to_owned()))
        // The catalog is one, and what peers want beside themselves is no peer.
        .filter(|name| !["redb", "flume", "tokio", "smallvec", "uuid"].contains(&name.as_str()))
        .collect();
    assert!(peers.len() > 5, "the peers were not read: {peers:?}");
    let mut found = Vec::new();
    for name in ["flow", "replay", "checkpoint", "engine", "formats", "cli", "tests"] {
        let dependencies = manifest(name);
        found.extend(
            section(&dependencies, "dependencies")
                .filter(|dependency| peers.contains(dependency))
                .map(|dependency| format!("{name} uses {dependency}")),
        );
    }
    check_none("peers where a host would link them", found);
}

#[test]
fn each_named_package_has_one_home() {
    let homes: [(&str, &[&str]); 15] = [
        ("bincode", &["replay/src/canonical"]),
        ("rkyv", &["checkpoint/src/"]),
        ("redb", &["engine/src/catalog.rs", "benches/src/peers/"]),
        ("parking_lot", &["engine/"]),
        ("forkguard", &["engine/src/sync/origin.rs"]),
        ("shuttle", &["engine/src/sync", "engine/src/schedules.rs"]),
        ("chacha20poly1305", &["engine/src/vault/sealed.rs"]),
        ("getrandom", &["engine/src/vault/sealed.rs"]),
        ("zeroize", &["engine/src/vault/"]),
        ("crc32fast", &["replay/", "checkpoint/"]),
        ("zstd", &["replay/", "checkpoint/", "benches/benches/block_layout.rs", "benches/src/peers/"]),
        ("imbl", &["flow/"]),
        ("smol_str", &["flow/"]),
        ("proptest", &["tests/"]),
        ("criterion", &["benches/"]),
    ];
    let sources: BTreeMap<String, String> =
        sources().into_iter().map(|(path, source)| (path, code_of(&source))).collect();
    let mut found = Vec::new();
    let mut homely = 0;
    for (package, homes) in homes {
        for (path, code) in &sources {
            if !identifiers(code).any(|word| word == package) {
                continue;
            }
            homely += 1;
            if !homes.iter().any(|home| path.starts_with(home)) {
                found.push(format!("{path} uses {package}"));
            }
        }
        for name in CRATES {
            let uses =
                section(&manifest(name), "dependencies").any(|other| other.replace('-', "_") == package);
            if uses && !homes.iter().any(|home| home.starts_with(&format!("{name}/"))) {
                found.push(format!("{name}/Cargo.toml names {package}"));
            }
        }
    }
    check_none("packages away from home", found);
    assert!(homely > 8, "the scanner is blind: {homely}");
}

#[test]
fn one_word_is_used_for_one_thing() {
    const FORBIDDEN: [&str; 20] = [
        "event",
        "events",
        "record",
        "records",
        "commit",
        "commits",
        "snapshot",
        "snapshots",
        "journal",
        "journals",
        "wal",
        "node",
        "nodes",
        "manager",
        "managers",
        "util",
        "utils",
        "common",
        "helper",
        "helpers",
    ];
    // Names of others: a product, a module and a method of packages, and what hosts call their own.
    let allowed = |path: &str, identifier: &str| match identifier {
        "node_red" | "NodeRed" => true,
        "util" => path.starts_with("checkpoint/src/"),
        "commit" => {
            path == "engine/src/catalog.rs" || path.contains("/tests/") || path.starts_with("benches/")
        }
        // A method of the metrics facade.
        "record" => path == "engine/src/telemetry.rs",
        "provenance_event" | "provenance_events" => path.starts_with("cli/"),
        _ => path.starts_with("benches/"),
    };
    let mut found = Vec::new();
    for (path, source) in sources() {
        let file_words =
            path.split('/').flat_map(|part| words(part.trim_end_matches(".rs"))).collect::<Vec<_>>();
        if file_words.iter().any(|word| FORBIDDEN.contains(&word.as_str())) && !path.contains("node_red") {
            found.push(path.clone());
        }
        for identifier in identifiers(&code_of(&source)) {
            let is_forbidden = words(identifier).iter().any(|word| FORBIDDEN.contains(&word.as_str()));
            if is_forbidden && !allowed(&path, identifier) {
                found.push(format!("{path}: {identifier}"));
            }
        }
    }
    check_none("words that are not ours", found);
}

#[test]
fn files_stay_readable() {
    const LINES_MAX: usize = 1_000;
    let mut found = Vec::new();
    for (path, source) in sources() {
        let lines = source.lines().count();
        if lines > LINES_MAX {
            found.push(format!("{path}: {lines} lines, {LINES_MAX} are allowed"));
        } else if lines > 700 {
            eprintln!("warning: {path} has {lines} lines");
        }
    }
    check_none("files nobody reads", found);
}

#[test]
fn nothing_is_left_to_do_later() {
    // Put together, so that this file does not find itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut found = Vec::new();
    for (path, source) in sources() {
        for (at, line) in source.lines().enumerate() {
            if marks.iter().any(|mark| identifiers(line).any(|word| word == mark)) {
                found.push(format!("{path}:{}", at + 1));
            }
        }
    }
    check_none("notes of things to do", found);
}

#[test]
fn every_crate_says_what_it_is_and_takes_the_lints_of_the_house() {
    for name in CRATES {
        let library = root().join(name).join("src/lib.rs");
        let program = root().join(name).join("src/main.rs");
        let source = std::fs::read_to_string(if library.exists() { library } else { program }).unwrap();
        let first = source.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 20,
            "{name} does not begin with what it is: {first:?}"
        );
        let manifest = manifest(name);
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} has lints of its own");
        assert!(section(&manifest, "package").any(|key| key == "description"), "{name} has no description");
    }
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}

/// How many statements of a piece of code are a `matches!` whose answer nobody looks at.
fn bare_matches(code: &str) -> usize {
    code.match_indices("matches!(")
        .filter(|(at, word)| {
            let before = code[..*at].trim_end().chars().next_back().unwrap_or('{');
            let mut depth = 1;
            let rest = &code[at + word.len()..];
            let end = rest.char_indices().find(|(_, c)| {
                depth += i32::from(*c == '(') - i32::from(*c == ')');
                depth == 0
            });
            let after = end.map_or("", |(end, _)| rest[end + 1..].trim_start());
            matches!(before, '{' | '}' | ';') && after.starts_with(';')
        })
        .count()
}

#[test]
fn every_test_can_fail() {
    let mut found = Vec::new();
    let mut tests = 0;
    for (path, source) in sources() {
        let code = code_of(&source);
        tests += code.matches("#[test]").count();
        if bare_matches(&code) > 0 {
            found.push(format!("{path}: a `matches!` whose answer nobody looks at"));
        }
        for word in ["#[ignore]", "assert!(true"] {
            if code.contains(word) && !path.starts_with("tests/tests/architecture") {
                found.push(format!("{path}: {word}"));
            }
        }
    }
    check_none("tests that cannot fail", found);
    assert!(tests > 80, "the scanner is blind: {tests}");
}

#[test]
fn the_repository_stands_alone() {
    let outside = [["..", "/shared"].concat(), ["/work", "/"].concat()];
    let mut found = Vec::new();
    let mut seen = 0;
    let mut pending = vec![root()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // What is built, what is versioned, and data of others.
                if !["target", ".git", "data"].contains(&name.as_str()) {
                    pending.push(path);
                }
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            seen += 1;
            // A test may look for files that only its makers have, if it says that it skips.
            let skips = name.ends_with(".rs") && text.to_lowercase().contains("skip");
            if outside.iter().any(|outside| text.contains(outside)) && !skips {
                found.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    check_none("these lead outside", found);
    assert!(seen > 100, "{seen}");
}
