//! Goal: the tests are tested: mistakes that are easily made are made on purpose, one at a time, and each is caught by the
//! test that says it would be.
//!
//! Method: in a build with the feature `mistakes` the engine makes the mistake that `FLOW_HISTORY_MISTAKE` names. For each
//! of them this very binary runs again, with nothing but the test that is to catch it, which has to fail; without a
//! mistake all of those tests have to pass. What only another order of threads shows is caught by tests inside the engine.
//!
//! ```text
//! cargo test -p flow-history-tests --features mistakes --test suite mistakes:: -- --ignored --nocapture
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::architecture::sources;

/// A mistake, and the test that catches it.
const MISTAKES: [(&str, &str); 34] = [
    ("a frame is not synced", "crash::in_a_small_history"),
    ("a segment is named before its header is synced", "crash::while_segments_are_switched_and_sealed"),
    ("the directory is not synced after a rename", "crash::while_segments_are_switched_and_sealed"),
    ("a file is renamed before its data is synced", "crash::while_segments_are_switched_and_sealed"),
    ("a version is published before its sync", "failed_io::a_failed_sync_poisons_for_good"),
    ("a failed sync is tried again", "failed_io::after_a_failed_sync_everything_but_appending_works"),
    ("an append is acknowledged before its sync", "syncs::no_append_is_acknowledged_before_its_sync"),
    ("no mark says that there was a crash", "crash::the_id_of_a_lost_version_never_comes_back"),
    ("a close does not note how far the log reaches", "every_bit::zeroed_and_swapped_sectors_are_noticed"),
    (
        "a frame of an earlier life of its file is taken for one of this",
        "flips::a_frame_of_another_life_of_its_file_is_no_frame",
    ),
    ("a field of a frame is outside of its checksum", "every_bit::of_a_raw_history_is_noticed"),
    ("the checksum of a payload is not looked at", "every_bit::of_a_raw_history_is_noticed"),
    (
        "what is vouched for is taken for torn",
        "flips::where_a_history_was_not_closed_only_its_newest_entry_can_be_taken_for_torn",
    ),
    ("how far a log reaches is not looked at", "every_bit::zeroed_and_swapped_sectors_are_noticed"),
    ("segments need not continue one another", "flips::segments_of_two_lives_of_a_history_are_no_log"),
    (
        "the checksum of the identity is not looked at",
        "flips::a_flipped_bit_of_the_log_is_an_error_that_names_the_file_or_changes_nothing",
    ),
    (
        "a mark takes away what could be done again",
        "undo::marks_and_what_the_host_does_come_between_undo_and_redo",
    ),
    (
        "a request that is repeated is taken for a new one",
        "requests::a_repeated_request_gets_its_first_answer_and_a_reused_key_an_error",
    ),
    (
        "what a killed process wrote is believed without a sync",
        "crash::after_a_kill_that_left_everything_written_and_nothing_synced",
    ),
    ("an identity speaks of a segment whose name is not synced", "crash::in_a_small_history"),
    ("a raw segment goes before the sealed one is there", "crash::while_segments_are_switched_and_sealed"),
    ("what is pruned goes before the identity says so", "crash::while_a_history_is_pruned"),
    (
        "a base forgets what was removed",
        "prune::what_was_removed_before_and_brought_back_after_is_the_same_component",
    ),
    (
        "a checkpoint of another line of the history is believed",
        "derived::a_checkpoint_of_another_line_of_the_same_history_is_passed_over",
    ),
    (
        "a checkpoint that is ahead of the log is passed over",
        "flips::a_log_that_is_behind_its_checkpoint_is_damage",
    ),
    (
        "a catalog that is ahead of the log is passed over",
        "flips::a_log_that_is_behind_its_catalog_is_damage",
    ),
    (
        "pages that changed are taken from an earlier checkpoint",
        "engine_model::under_a_hostile_tuning_every_version_is_the_models",
    ),
    ("the identity of a backup comes first", "crash::while_a_backup_is_made"),
    ("a sync asks the system for nothing", "syncs::no_append_is_acknowledged_before_its_sync"),
    (
        "a link in place of a file is followed",
        "bad_input::each_bad_directory_has_its_own_error_and_is_left_as_it_was",
    ),
    ("a secret is wiped before a mark says so", "crash::while_secrets_are_sealed_named_and_shredded"),
    ("what was shredded comes back after a power cut", "crash::while_secrets_are_sealed_named_and_shredded"),
    (
        "a version is announced before it is written",
        "engine: published::tests::a_reader_sees_whole_versions_in_order_while_a_writer_publishes",
    ),
    (
        "an outcome is looked at before the waker is left",
        "engine: schedules::whoever_hands_an_entry_over_hears_of_its_end_although_nobody_waits_for_it",
    ),
];

/// How often each mistake is asked for in each source.
fn places() -> BTreeMap<String, BTreeSet<String>> {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, source) in sources() {
        if path.starts_with("tests/") {
            continue;
        }
        for rest in source.split("mistake::is_made(\"").skip(1) {
            let name = rest.split('"').next().unwrap().to_owned();
            places.entry(name).or_default().insert(path.clone());
        }
    }
    places
}

#[test]
fn every_mistake_in_the_sources_has_its_catcher_and_no_module_has_more_than_two() {
    let places = places();
    let listed: BTreeSet<&str> = MISTAKES.iter().map(|(mistake, _)| *mistake).collect();
    let made: BTreeSet<&str> = places.keys().map(String::as_str).collect();
    assert_eq!(made, listed);
    assert!(MISTAKES.len() >= 20 && listed.len() == MISTAKES.len());
    let mut of_module: BTreeMap<&String, usize> = BTreeMap::new();
    for (mistake, paths) in &places {
        assert_eq!(paths.len(), 1, "{mistake} is made in several modules: {paths:?}");
        paths.iter().for_each(|path| *of_module.entry(path).or_default() += 1);
    }
    assert!(of_module.values().all(|count| *count <= 2), "{of_module:?}");
    // Nothing that a host builds can make one.
    let manifests = ["replay", "checkpoint", "engine", "formats", "cli"].map(|folder| {
        let path = crate::architecture::root().join(folder).join("Cargo.toml");
        std::fs::read_to_string(path).unwrap()
    });
    assert!(manifests.iter().all(|manifest| !manifest.contains("mistakes")));
}

fn run(catcher: &str, mistake: Option<&str>) -> bool {
    let (mut command, catcher) = match catcher.strip_prefix("engine: ") {
        Some(catcher) => {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args([
                "test",
                "-p",
                "flow-history",
                "--lib",
                "--features",
                "flow-history-flow/mistakes",
                "--",
            ]);
            (cargo, catcher)
        }
        None => (Command::new(std::env::current_exe().unwrap()), catcher),
    };
    command.args(["--exact", catcher, "--test-threads=1"]).stdout(Stdio::null()).stderr(Stdio::null());
    match mistake {
        Some(mistake) => command.env("FLOW_HISTORY_MISTAKE", mistake),
        None => command.env_remove("FLOW_HISTORY_MISTAKE"),
    };
    command.status().unwrap().success()
}

#[test]
#[ignore = "takes minutes, and a build with the feature `mistakes`"]
fn every_mistake_is_caught() {
    let makes_mistakes = cfg!(feature = "mistakes");
    assert!(makes_mistakes, "this build makes no mistakes: --features mistakes");
    let only = std::env::var("FLOW_HISTORY_ONLY").unwrap_or_default();
    let catchers: BTreeSet<&str> = MISTAKES.iter().map(|(_, catcher)| *catcher).collect();
    let wanted = MISTAKES.iter().filter(|(mistake, _)| mistake.contains(&only));
    let runs = wanted.map(|(mistake, catcher)| (*catcher, Some(*mistake)));
    let without = catchers.into_iter().map(|catcher| (catcher, None)).filter(|_| only.is_empty());
    let waiting = Mutex::new(runs.chain(without).collect::<Vec<_>>().into_iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((catcher, mistake)) = waiting.lock().unwrap().next() else { return };
                    let passed = run(catcher, mistake);
                    let what = match mistake {
                        Some(mistake) if passed => format!("MISSED {mistake}: {catcher} passes"),
                        Some(mistake) => format!("caught {mistake}: {catcher}"),
                        None if passed => continue,
                        None => format!("without a mistake {catcher} fails"),
                    };
                    eprintln!("{what}");
                    if passed == mistake.is_some() {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
