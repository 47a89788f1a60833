//! Bytes as what a host does: against the model, and with power cuts.

use flow_history_tests::{Act, Cuts, Disk, Said, Settings, SimDisk, Sweep, Tally, Truth, Worker};

/// Most things that a host does.
const ACTS_MAX: usize = 24;

/// One act for each byte.
fn acts(bytes: &[u8]) -> Vec<Act> {
    let act = |byte: &u8| match byte % 16 {
        0..=4 => Act::Change,
        5 | 6 => Act::Big,
        7 | 8 => Act::Undo,
        9 => Act::Redo,
        10 => Act::Mark,
        11 => Act::Many,
        12 => Act::Flush,
        13 | 14 => Act::Reopen,
        _ => Act::Prune,
    };
    bytes.iter().take(ACTS_MAX).map(act).collect()
}

/// The first eight bytes are a seed, the others what is done.
fn split(bytes: &[u8]) -> (u64, Vec<Act>) {
    let (seed, rest) = bytes.split_at(bytes.len().min(8));
    let seed = seed.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    (seed >> 8, std::iter::once(Act::Change).chain(acts(rest)).collect())
}

/// What a host does, on a disk that keeps everything: at the end every version is the model's.
pub fn operations(bytes: &[u8]) {
    let (seed, acts) = split(bytes);
    let settings = Settings::small();
    let disk = SimDisk::new(Disk::default());
    let mut worker = Worker::begin(disk.clone(), &settings, seed, Truth::default());
    acts.iter().for_each(|act| worker.act(*act));
    let truth = worker.close();
    let newest = truth.seq();
    let pruned = disk.steps().iter().rev().find_map(|step| match step {
        flow_history_tests::Step::Pruned(seq) => Some(*seq),
        _ => None,
    });
    let said = Said { pruned: pruned.unwrap_or(0), pruning: pruned.unwrap_or(0), ..Said::all(newest) };
    let checked = flow_history_tests::check_crash(&disk.disk().now(), said, &truth, &settings, seed, true);
    assert!(checked == Ok(newest), "{checked:?}");
}

/// What a host does, with the power cut after every step.
pub fn crashes(bytes: &[u8]) {
    let (seed, mut acts) = split(bytes);
    acts.truncate(8);
    let settings = Settings::small();
    let (steps, truth) = flow_history_tests::work(&acts, &settings, seed);
    let start = Disk::default();
    let sweep = Sweep::from_the_start(seed, &start, (&steps, &truth), &settings);
    let cuts = Cuts { every_up_to: 2, by_chance: 1, whole_one_in: 50 };
    sweep.run(cuts, usize::MAX, &mut Tally::default());
}
