//! Goal: the program that the README shows is the one that runs in the library's documentation.
//!
//! Method: line by line. The README's stands in a `main`, because hidden lines would show there, and is compiled but not
//! run, because it would leave a history behind; the library's runs with every `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[test]
fn the_program_of_the_readme_is_the_one_that_runs() {
    let readme = include_str!("../../README.md");
    let library = include_str!("../src/lib.rs");

    let shown: Vec<&str> = block(readme.lines(), "```rust,no_run")
        .into_iter()
        .filter(|line| !matches!(*line, "fn main() -> Result<(), flow_history::Error> {" | "Ok(())" | "}"))
        .collect();
    let essay = library.lines().filter_map(|line| line.strip_prefix("//!"));
    let run: Vec<&str> = block(essay, "```").into_iter().filter(|line| !line.starts_with("# ")).collect();

    assert!(run.len() > 10, "{run:?}");
    assert_eq!(shown, run);
}

/// The lines of the first block with this fence, without what indents them.
fn block<'t>(lines: impl Iterator<Item = &'t str>, fence: &str) -> Vec<&'t str> {
    let inside = lines.map(str::trim).skip_while(|line| *line != fence).skip(1);
    inside.take_while(|line| *line != "```").collect()
}
