//! Goal: what the documents promise is kept by tests that are there: each that they name exists.
//!
//! Method: every name of a test in the documents, `module::what_it_says`, is looked for in the sources.

use crate::architecture::{root, sources};

/// The names of tests in a document: paths in backticks whose last part is a sentence.
fn named(document: &str) -> Vec<String> {
    let spans = document.split('`').skip(1).step_by(2);
    let is_test = |span: &&str| {
        let name = span.rsplit("::").next().unwrap_or_default();
        let is_path =
            span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':');
        is_path && span.contains("::") && name.matches('_').count() >= 2
    };
    spans.filter(is_test).map(str::to_owned).collect()
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let sources = sources();
    let exists = |path: &str| {
        let parts: Vec<&str> = path.split("::").filter(|part| *part != "tests").collect();
        let (name, modules) = parts.split_last().unwrap();
        let module = modules.last().unwrap();
        let signature = format!("fn {name}(");
        sources.iter().any(|(file, source)| {
            (file.ends_with(&format!("/{module}.rs")) || file.contains(&format!("/{module}/")))
                && source.split(&signature).skip(1).count() == 1
                && source.contains("#[test]")
        })
    };
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "docs/durability.md",
        "docs/compatibility.md",
        "docs/testing.md",
        "docs/undo.md",
    ];
    let mut missing = Vec::new();
    let mut count = 0;
    for document in documents {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        for test in named(&text) {
            count += 1;
            if !exists(&test) {
                missing.push(format!("{document}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "these are not there: {missing:#?}");
    assert!(count > 60, "{count} are named: the reading is blind");
}

#[test]
fn every_promise_of_the_readme_names_its_test() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("## Promises").nth(1).expect("the README has a section of promises");
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 10, "{} promises", rows.len());
    for row in rows {
        assert!(!named(row).is_empty(), "no test: {row}");
    }
}
