//! Goal: `Ok` means durable; what was appended together is there whole or not at all; whatever a power cut leaves, at
//! whatever moment, the history opens, and opening it again changes nothing.
//!
//! Method: a workload runs on a simulated disk that keeps account of every step. Then the power is cut after every step,
//! each time with every way to keep or lose what was pending where there are few, and with others by chance: torn
//! sectors, garbage. The oracle (`tests/src/oracle.rs`) looks at what is left. Recovery is cut in the same way, and the
//! recovery from that again. Every workload runs twice and must take the same steps: a seed that fails runs again, with
//! `FLOW_HISTORY_SEED`.
//!
//! An image is counted once for each content of the disk and each step after which the power was cut.

use std::sync::Arc;
use std::time::Duration;

use flow_history::{Author, Component, Durability, Error, History, LiveStamps, MemoryStorage, Storage};
use flow_history_tests::{
    Act, Chance, Cuts, Disk, Files, Said, Settings, SimDisk, Step, Sweep, Tally, Truth, Worker, check_crash,
    check_log, is_nightly, work,
};

/// The images that each workload contributes. Nightly it is five times as many.
const QUOTAS: [(&str, usize); 16] = [
    ("small", 15_000),
    ("segments", 20_000),
    ("reopening", 20_000),
    ("vouching", 10_000),
    ("checkpoints", 6_000),
    ("buffered", 15_000),
    ("together", 10_000),
    ("pruning", 15_000),
    ("large sectors", 10_000),
    ("long", 20_000),
    ("backup", 5_000),
    ("recovery", 15_000),
    ("recovery of recovery", 15_000),
    ("kill", 10_000),
    ("secrets", 18_000),
    ("backup of secrets", 4_000),
];

const IN_ALL: usize = {
    let (mut sum, mut at) = (0, 0);
    while at < QUOTAS.len() {
        sum += QUOTAS[at].1;
        at += 1;
    }
    sum
};

const _: () = {
    assert!(IN_ALL >= 200_000, "too few images");
    let mut at = 0;
    while at < QUOTAS.len() {
        assert!(QUOTAS[at].1 * 10 <= IN_ALL * 3, "too many images of one workload");
        at += 1;
    }
};

const CUTS: Cuts = Cuts { every_up_to: 64, by_chance: 24, whole_one_in: 40 };

/// The place of a workload among all, and how many images it contributes.
fn quota(name: &str) -> (u64, usize) {
    let at = QUOTAS.iter().position(|(other, _)| *other == name).unwrap();
    (at as u64, QUOTAS[at].1 * if is_nightly() { 5 } else { 1 })
}

/// The workloads by name and seed; the one that `FLOW_HISTORY_SEED` names, where it names any.
fn seeds(workload: u64) -> impl Iterator<Item = u64> {
    let only: Option<u64> = std::env::var("FLOW_HISTORY_SEED").ok().map(|seed| seed.parse().unwrap());
    let all = (1..5_000).map(move |seed| (workload << 32) + seed);
    let is_only = move |name: &u64| only.is_none_or(|only| only == *name);
    all.filter(is_only)
}

/// Runs a workload twice: it takes the same steps.
fn work_twice(acts: &[Act], settings: &Settings, seed: u64) -> (Vec<Step>, Truth) {
    let (steps, truth) = work(acts, settings, seed);
    let (again, _) = work(acts, settings, seed);
    let same = |one: &Step, other: &Step| one == other || settings.keys && is_same_kind(one, other);
    let differs = steps.iter().zip(&again).position(|(one, other)| !same(one, other));
    assert!(
        differs.is_none() && steps.len() == again.len(),
        "seed {seed}: two runs differ from step {differs:?} on"
    );
    (steps, truth)
}

/// Whether two steps do the same where secrets are: what they are sealed with comes from the system, so that their names,
/// and the bytes of everything that holds these, are other ones each time.
fn is_same_kind(one: &Step, other: &Step) -> bool {
    let kind = |file: &str| file.split('-').next().unwrap_or_default().to_owned();
    match (one, other) {
        (Step::Create(one), Step::Create(other))
        | (Step::Write(one, ..), Step::Write(other, ..))
        | (Step::SetLength(one, _), Step::SetLength(other, _))
        | (Step::Sync(one), Step::Sync(other))
        | (Step::Rename(one, _), Step::Rename(other, _))
        | (Step::Remove(one), Step::Remove(other)) => kind(one) == kind(other),
        _ => false,
    }
}

fn finish(tally: &Tally, name: &str) {
    tally.tell(name);
    if std::env::var_os("FLOW_HISTORY_SEED").is_none() {
        assert_eq!(tally.images(), quota(name).1, "{name}: too few workloads");
        assert!(tally.lost_entries > 0, "no crash came in time to lose anything: the crashes are blind");
        assert!(tally.by_chance > 0);
    }
}

fn check(name: &str, settings: &Settings, cuts: Cuts, acts: impl Fn(&mut Chance) -> Vec<Act>) {
    let (workload, most) = quota(name);
    let mut tally = Tally::default();
    for seed in seeds(workload) {
        let acts = acts(&mut Chance::new(seed));
        let (steps, truth) = work_twice(&acts, settings, seed);
        let start = Disk::default().with_sectors_of(settings.sector);
        let said = Said::all(0);
        Sweep { name: seed, start: &start, steps: &steps, said, truth: &truth, settings }
            .run(cuts, most, &mut tally);
        if tally.images() >= most {
            break;
        }
    }
    finish(&tally, name);
}

/// So many of these acts, by chance, behind a first change.
fn some(chance: &mut Chance, count: usize, of: &[Act]) -> Vec<Act> {
    std::iter::once(Act::Change).chain((1..count).map(|_| *chance.pick(of))).collect()
}

#[test]
fn in_a_small_history() {
    use Act::{Change, Mark, Redo, Undo};
    let settings = Settings::small().tuned(|tuning| {
        tuning.segment_bytes_first = 16 << 10;
        tuning.segment_bytes_max = 16 << 10;
        tuning.seal = false;
    });
    let cuts = Cuts { every_up_to: 1 << 10, ..CUTS };
    check("small", &settings, cuts, |chance| some(chance, 6, &[Change, Change, Mark, Undo, Redo]));
}

#[test]
fn while_segments_are_switched_and_sealed() {
    use Act::{Big, Change, Undo};
    check("segments", &Settings::small(), CUTS, |chance| some(chance, 10, &[Big, Change, Big, Undo]));
}

#[test]
fn while_the_history_is_closed_and_opened_again() {
    use Act::{Big, Change, Mark, Reopen};
    check("reopening", &Settings::small(), CUTS, |chance| {
        some(chance, 9, &[Change, Reopen, Reopen, Big, Mark])
    });
}

#[test]
fn while_an_idle_writer_vouches() {
    use Act::{Big, Change};
    let settings = Settings::small().tuned(|tuning| tuning.vouch_after = Duration::ZERO);
    check("vouching", &settings, CUTS, |chance| some(chance, 6, &[Change, Change, Big]));
}

#[test]
fn while_checkpoints_and_the_catalog_are_written() {
    use Act::{Change, Mark, Reopen};
    let settings = Settings::small().tuned(|tuning| {
        tuning.derive_from_bytes = 0;
        tuning.checkpoint_entries = 3;
    });
    // redb writes a great deal for a little catalog: few acts make many steps.
    let cuts = Cuts { by_chance: 10, ..CUTS };
    check("checkpoints", &settings, cuts, |chance| some(chance, 6, &[Change, Change, Mark, Reopen]));
}

#[test]
fn where_entries_are_buffered() {
    use Act::{Big, Change, Flush, Many, Reopen};
    let mut settings = Settings::small();
    settings.durability = Durability::Buffered { max_delay: Duration::from_secs(3_600) };
    check("buffered", &settings, CUTS, |chance| {
        some(chance, 10, &[Change, Change, Big, Many, Flush, Reopen])
    });
}

#[test]
fn what_was_appended_together_is_there_whole_or_not_at_all() {
    use Act::{Big, Change, Many, Reopen};
    check("together", &Settings::small(), CUTS, |chance| some(chance, 7, &[Many, Many, Change, Big, Reopen]));
}

#[test]
fn while_a_history_is_pruned() {
    use Act::{Big, Change, Prune, Reopen};
    check("pruning", &Settings::small(), CUTS, |chance| {
        let mut acts = some(chance, 8, &[Big, Big, Change]);
        acts.extend([Prune, Change, Big]);
        acts.extend(some(chance, 3, &[Big, Reopen, Prune]));
        acts
    });
}

#[test]
fn on_a_disk_with_sectors_of_4_kib() {
    use Act::{Big, Change, Many, Reopen, Undo};
    let mut settings = Settings::small();
    settings.sector = 4 << 10;
    check("large sectors", &settings, CUTS, |chance| some(chance, 8, &[Big, Change, Many, Reopen, Undo]));
}

#[test]
fn in_long_lives_of_everything() {
    use Act::{Big, Change, Many, Mark, Prune, Redo, Reopen, Undo};
    let settings = Settings::small().tuned(|tuning| {
        tuning.derive_from_bytes = 24 << 10;
        tuning.checkpoint_entries = 20;
    });
    // The longer a life, the fewer outcomes of each step, so that all of it is seen.
    let cuts = Cuts { every_up_to: 4, by_chance: 3, whole_one_in: 100 };
    check("long", &settings, cuts, |chance| {
        some(chance, 60, &[Change, Change, Change, Mark, Big, Big, Many, Undo, Undo, Redo, Reopen, Prune])
    });
}

#[test]
fn while_secrets_are_sealed_named_and_shredded() {
    use Act::{Big, Change, Prune, Reopen, Seal, Secret, Shred, Undo};
    let settings = Settings { keys: true, ..Settings::small() };
    check("secrets", &settings, CUTS, |chance| {
        let mut acts = some(chance, 2, &[Change, Seal]);
        acts.extend([Secret, Secret]);
        acts.extend(some(chance, 5, &[Secret, Shred, Undo, Reopen, Seal, Big]));
        acts.push(Shred);
        acts.extend(some(chance, 3, &[Secret, Shred, Reopen, Undo, Prune]));
        acts
    });
}

#[test]
fn while_a_backup_is_made() {
    check_backup("backup", &Settings::small(), |chance| some(chance, 7, &[Act::Big, Act::Change]));
}

#[test]
fn while_a_backup_with_secrets_is_made() {
    use Act::{Big, Reopen, Seal, Secret, Shred, Undo};
    let settings = Settings { keys: true, ..Settings::small() };
    check_backup("backup of secrets", &settings, |chance| {
        let mut acts = vec![Act::Change, Secret];
        acts.extend(some(chance, 7, &[Secret, Secret, Shred, Undo, Seal, Big, Reopen]));
        acts
    });
}

fn check_backup(name: &str, settings: &Settings, acts: impl Fn(&mut Chance) -> Vec<Act>) {
    let (workload, most) = quota(name);
    let (mut tally, mut whole, mut nothing) = (Tally::default(), 0, 0);
    'workloads: for seed in seeds(workload) {
        tally.workloads += 1;
        let source = SimDisk::new(Disk::default());
        let mut worker = Worker::begin(source, settings, seed, Truth::default());
        acts(&mut Chance::new(seed)).into_iter().for_each(|act| worker.act(act));
        let copy = SimDisk::new(Disk::default());
        let to: Arc<dyn Storage> = Arc::new(copy.clone());
        let backed_up = worker.history().backup_to(&to).unwrap().version.seq().0;
        copy.note(Step::Acknowledged(backed_up));
        let truth = worker.close();
        let mut disk = Disk::default();
        let mut done = false;
        for (at, step) in copy.steps().iter().enumerate() {
            disk.take(step).unwrap();
            done |= matches!(step, Step::Acknowledged(_));
            let by_chance = (0..30).map(|outcome| disk.outcome((seed << 20) + 1_000 * at as u64 + outcome));
            for outcome in disk.every_outcome(64).into_iter().flatten().chain(by_chance) {
                if tally.images() >= most {
                    break 'workloads;
                }
                let files = disk.left(&outcome);
                if !tally.is_new(&files, seed, at) {
                    continue;
                }
                match History::options()
                    .open_storage_read_only(Arc::new(MemoryStorage::with_files(files.clone())))
                {
                    Ok(_) => {
                        let said = Said::all(backed_up);
                        let checked = check_crash(&files, said, &truth, settings, seed, at % 10 == 0);
                        checked.unwrap_or_else(|why| panic!("seed {seed}, step {at}: {why}"));
                        whole += 1;
                    }
                    Err(Error::NotAHistory { .. } | Error::Damaged { .. }) if !done => nothing += 1,
                    Err(error) => panic!("seed {seed}, step {at}: a backup that was finished: {error}"),
                }
            }
        }
    }
    tally.tell(name);
    assert!(std::env::var_os("FLOW_HISTORY_SEED").is_some() || whole > 0 && nothing > 0, "{whole} {nothing}");
}

/// Opens what a crash left, goes on, and cuts the power after each step of that.
fn cut_recovery(
    crashed: (&Disk, &Truth, Said),
    acts: &[Act],
    settings: &Settings,
    (seed, cuts, most): (u64, Cuts, usize),
    tally: &mut Tally,
    then: impl FnMut(&mut Tally, Files, Said, u64, &Truth),
) {
    let (start, truth, said) = crashed;
    let disk = SimDisk::new(start.clone());
    let mut worker = Worker::begin(disk.clone(), settings, seed, truth.clone());
    let recovered = worker.truth().seq();
    // What was recovered was shown: from then on it must stay.
    let opened = disk.steps().len();
    acts.iter().for_each(|act| worker.act(*act));
    let truth = worker.close();
    let mut steps = disk.steps();
    steps.insert(opened, Step::Acknowledged(recovered));
    let said = Said { attempted: said.attempted.max(recovered), ..said };
    let mut then = then;
    // Until it is shown, what had not been acknowledged before the first crash may still be lost.
    let (before, after) = steps.split_at(opened + 1);
    let sweep = Sweep { name: seed, start, steps: before, said, truth: crashed.1, settings };
    sweep.each_image(cuts, most, tally, |tally, files, said, recovered| {
        then(tally, files, said, recovered, crashed.1);
    });
    let mut disk = start.clone();
    before.iter().for_each(|step| disk.take(step).unwrap());
    let said = Said { acknowledged: recovered, attempted: recovered, ..said };
    let sweep = Sweep { name: seed + (1 << 50), start: &disk, steps: after, said, truth: &truth, settings };
    sweep.each_image(cuts, most, tally, |tally, files, said, recovered| {
        then(tally, files, said, recovered, &truth);
    });
}

#[test]
fn in_the_middle_of_recovering_from_a_crash() {
    use Act::{Big, Change};
    let settings = Settings::small();
    let (workload, most) = quota("recovery");
    let mut tally = Tally::default();
    for seed in seeds(workload) {
        tally.workloads += 1;
        let (steps, truth) = work_twice(&some(&mut Chance::new(seed), 4, &[Change, Big]), &settings, seed);
        let start = Disk::default();
        let first = Sweep::from_the_start(seed, &start, (&steps, &truth), &settings);
        let cuts = Cuts { every_up_to: 4, by_chance: 2, whole_one_in: 1_000 };
        let mut number = 0;
        first.each_image(cuts, most, &mut tally, |tally, files, said, _| {
            number += 1;
            let within = (seed << 16) + number;
            let cuts = Cuts { every_up_to: 16, by_chance: 6, whole_one_in: 40 };
            cut_recovery(
                (&Disk::of(files), &truth, said),
                &[Change, Big],
                &settings,
                (within, cuts, most),
                tally,
                |_, _, _, _, _| {},
            );
        });
        if tally.images() >= most {
            break;
        }
    }
    finish(&tally, "recovery");
}

#[test]
fn in_the_middle_of_recovering_from_a_crash_in_the_middle_of_recovering() {
    use Act::Change;
    let settings = Settings::small();
    let (workload, least) = quota("recovery of recovery");
    let mut tally = Tally::default();
    // What is pending is all kept or all lost, in every combination of the three crashes: this one has no end but its own.
    let cuts = Cuts { every_up_to: 2, by_chance: 0, whole_one_in: 100 };
    let most = usize::MAX;
    for seed in seeds(workload).take(if is_nightly() { 5 } else { 1 }) {
        tally.workloads += 1;
        let (steps, truth) = work_twice(&[Change], &settings, seed);
        let start = Disk::default();
        let said = Said::all(0);
        let first =
            Sweep { name: seed, start: &start, steps: &steps, said, truth: &truth, settings: &settings };
        let mut number = 0;
        first.each_image(cuts, most, &mut tally, |tally, files, said, _| {
            number += 1;
            let second = (seed << 20) + (number << 10);
            let (crashed, mut numbers) = (Disk::of(files), 0);
            let then = |tally: &mut Tally, files: Files, said: Said, _: u64, truth: &Truth| {
                numbers += 1;
                let third = (second + numbers) << 8;
                let crashed = Disk::of(files);
                let how = (third, cuts, most);
                cut_recovery((&crashed, truth, said), &[Change], &settings, how, tally, |_, _, _, _, _| {});
            };
            cut_recovery((&crashed, &truth, said), &[Change], &settings, (second, cuts, most), tally, then);
        });
    }
    tally.tell("recovery of recovery");
    assert!(tally.images() >= least && tally.lost_entries > 0);
}

/// A process that is killed leaves what it wrote to the kernel, synced or not; then the power goes.
#[test]
fn after_a_kill_that_left_everything_written_and_nothing_synced() {
    use Act::{Big, Change, Reopen};
    let settings = Settings::small();
    let (workload, most) = quota("kill");
    let mut tally = Tally::default();
    for seed in seeds(workload) {
        tally.workloads += 1;
        let acts = some(&mut Chance::new(seed), 5, &[Change, Big, Reopen]);
        let (steps, truth) = work_twice(&acts, &settings, seed);
        let mut disk = Disk::default();
        let mut said = Said::all(0);
        for (at, step) in steps.iter().enumerate() {
            disk.take(step).unwrap();
            match step {
                Step::Attempting(seq) => said.attempted = *seq,
                Step::Acknowledged(seq) => said.acknowledged = *seq,
                _ => {}
            }
            let within = (seed << 16) + at as u64;
            let cuts = Cuts { every_up_to: 16, by_chance: 4, whole_one_in: 40 };
            cut_recovery(
                (&disk, &truth, said),
                &[Change, Big],
                &settings,
                (within, cuts, most),
                &mut tally,
                |_, _, _, _, _| {},
            );
        }
        if tally.images() >= most {
            break;
        }
    }
    finish(&tally, "kill");
}

/// What Linux did to PostgreSQL: a sync fails once, what it covered is gone, and the next one says that all is well.
#[test]
fn a_sync_that_fails_once_and_then_claims_success_loses_nothing_that_was_acknowledged() {
    let settings = Settings::small();
    let alice = Author::user("alice");
    let mut lied = 0;
    for number in 1..80 {
        let disk = SimDisk::new(Disk::default());
        let mut truth = Truth::default();
        let Ok(history) = settings.open(disk.clone(), 7) else { panic!() };
        disk.lie_once_after(number);
        let mut refused = 0;
        for at in 0..8 {
            let part = Component::new(format!("part-{at}"), "part").field("text", "x".repeat(1_000));
            let mut flow = truth.flow().clone();
            flow.apply(&flow_history::Operation::add(part.clone())).unwrap();
            match history.change(&alice, "").add(part).append() {
                Ok(id) => {
                    assert_eq!(refused, 0, "sync {number}: an append was accepted after a failed sync");
                    truth.ids.push(id);
                    truth.flows.push(flow);
                }
                Err(Error::Poisoned { .. }) => refused += 1,
                Err(error) => panic!("sync {number}: {error}"),
            }
        }
        let closed = history.close();
        if !disk.lied() {
            assert!(closed.is_ok() && refused == 0);
            break;
        }
        lied += 1;
        let storage = MemoryStorage::with_files(disk.disk().now());
        let again =
            settings.open(storage.clone(), 8).unwrap_or_else(|error| panic!("sync {number}: {error}"));
        let recovered = again.version().seq().0;
        // The entry whose sync failed is gone, or was covered by another one.
        assert!(recovered >= truth.seq(), "sync {number}: {} acknowledged, {recovered} there", truth.seq());
        check_log(&storage, recovered, &truth).map(drop).unwrap_or_else(|why| {
            assert!(recovered > truth.seq(), "sync {number}: {why}");
        });
    }
    assert!(lied > 10, "{lied} syncs failed: the test is blind");
}

/// Somebody saw the id of a version that was lost; the same change at the same moment must not get it again.
#[test]
fn the_id_of_a_lost_version_never_comes_back() {
    let mut settings = Settings::small();
    settings.durability = Durability::Buffered { max_delay: Duration::from_secs(3_600) };
    let alice = Author::user("alice");
    let disk = SimDisk::new(Disk::default());
    let history = settings.open(disk.clone(), 1).unwrap();
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    history.flush().unwrap();
    let files = disk.disk().now();
    let append = |history: &History| {
        let at = flow_history::Timestamp { millis: 1_795_000_000_000, zone_minutes: 0 };
        history.change(&alice, "").set("pump", "rate", 1).host_time(at).append().unwrap()
    };
    let lost = append(&history);
    assert_eq!(history.version(), lost);
    let after = settings.open(MemoryStorage::with_files(files), 2).unwrap();
    let new = append(&after);
    after.flush().unwrap();
    assert!(matches!(after.resolve(lost), Err(Error::Foreign { .. })), "{lost} and {new}");
    assert!(new != lost && new.seq() > lost.seq(), "a mark stands where the lost version was");
}

/// Pruning asks first, so that what holds a version back is durable before anything goes.
#[test]
fn a_prune_that_was_held_back_writes_nothing() {
    let settings = Settings::small();
    let disk = SimDisk::new(Disk::default());
    let mut worker = Worker::begin(disk.clone(), &settings, 3, Truth::default());
    (0..8).for_each(|_| worker.act(Act::Big));
    worker.history().label(&Author::user("alice"), "kept", 1).unwrap();
    let before = disk.steps().len();
    let held = worker.history().prune(&Author::operator("olga"), 6, &LiveStamps::GiveUp);
    assert!(matches!(held, Err(Error::HeldBack { .. })), "{held:?}");
    assert_eq!(disk.steps().len(), before);
}
