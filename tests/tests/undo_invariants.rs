//! Goal: what undo, redo, revert and restore promise of every flow, whatever was done to it: mission invariants I1 to I7,
//! I11 and I13, one test each.
//!
//! Method: seeded sessions of random changes in memory, 10,000 steps for each invariant, twenty times as many at night.
//! The stacks are compared with a second model, written another way: a unit is on a stack if no later entry says that it
//! is gone. The engine walks down from the top; the model looks at every entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history::{
    Action, Applied, Author, Authorizer, Component, Decision, Edit, Error, Flow, History, Intent, Mark,
    MemoryStorage, Mode, Operation, Part, Proposal, Question, Scope, SecretRef, Seq, Tuning, VaultKey,
    operations_between,
};
use flow_history_replay::{Fold, Log, MemorySource, Replay};
use flow_history_tests::{Chance, Gene, SeededClock, slots_of, thoroughness};

const STEPS: usize = 10_000;
const AUTHORS: [&str; 3] = ["alice", "bob", "carol"];
/// Entries of one history before another is begun: long enough for stacks to grow, short enough to be quick.
const LENGTH: usize = 100;

/// A history that is played with.
struct Play {
    seed: u64,
    chance: Chance,
    storage: MemoryStorage,
    history: History,
    lines: Vec<Line>,
    secrets: Vec<SecretRef>,
}

/// What the second model knows of an entry.
#[derive(Clone, Default)]
struct Line {
    seq: Seq,
    /// A change that can be undone, or a redo.
    does: bool,
    new: bool,
    undoes: Vec<Seq>,
    redoes: Vec<Seq>,
    owner: String,
    /// The sessions of the changes that it made, took or did again.
    sessions: Vec<String>,
    group: Option<String>,
}

impl Play {
    fn begin(seed: u64) -> Self {
        Self::begin_with(seed, Tuning::default())
    }

    fn begin_with(seed: u64, mut tuning: Tuning) -> Self {
        let storage = MemoryStorage::new();
        tuning.vouch_after = std::time::Duration::from_secs(3_600);
        let keys = Arc::new(VaultKey::new("key", [7; 32]));
        let options = History::options().clock(SeededClock::new(seed)).tuning(tuning).vault_keys(keys);
        let history = options.open_storage(Arc::new(storage.clone())).unwrap();
        let secrets = ["a", "b", "a"].map(|plain| history.seal_secret(plain).unwrap()).to_vec();
        Self { seed, chance: Chance::new(seed), storage, history, lines: Vec::new(), secrets }
    }

    fn flow(&self) -> Flow {
        self.history.at(self.history.version()).unwrap().to_flow().unwrap()
    }

    fn author(&mut self) -> Author {
        let author: &str = self.chance.pick::<&str>(&AUTHORS);
        Author::user(author)
    }

    fn operations(&mut self) -> Vec<Operation> {
        let mut flow = self.flow();
        let mut operations = Vec::new();
        while operations.is_empty() {
            for _ in 0..=self.chance.below(4) {
                let mut operation = Gene::random(&mut self.chance).operation(&flow);
                if let (Operation::Set { edit: Edit::Put(value), .. }, true) =
                    (&mut operation, self.chance.once_in(6))
                {
                    *value = self.chance.pick(&self.secrets).clone().into();
                }
                if flow.apply(&operation).is_ok() {
                    operations.push(operation);
                }
            }
        }
        operations
    }

    fn change(&mut self) -> Seq {
        let (author, operations) = (self.author(), self.operations());
        let session = format!("{}-{}", author.id, self.chance.below(2));
        let group = self.chance.once_in(3).then(|| format!("gesture-{}", self.chance.below(2)));
        let mut change = self.history.change(&author, "").operations(operations).session(&session);
        if let Some(group) = &group {
            change = change.group(group);
        }
        let seq = change.append().unwrap().seq();
        let owner = author.id.to_string();
        let sessions = vec![session];
        self.lines.push(Line { seq, does: true, new: true, owner, sessions, group, ..Line::default() });
        seq
    }

    /// What takes part in no stack.
    fn noise(&mut self) {
        let seq = if self.chance.once_in(2) {
            self.history.mark(&Author::user("alice"), Mark::Deploy).unwrap().seq()
        } else {
            let operations = self.operations();
            let change = self.history.change(&Author::system("host"), "").intent(Intent::System);
            change.operations(operations).append().unwrap().seq()
        };
        self.lines.push(Line { seq, ..Line::default() });
    }

    fn line(&self, seq: Seq) -> &Line {
        &self.lines[usize::try_from(seq.0).unwrap() - 1]
    }

    fn took(&mut self, redo: bool, applied: &Applied) {
        let owner = self.line(applied.taken[0]).owner.clone();
        let taken = applied.taken.clone();
        let sessions = taken.iter().flat_map(|seq| self.line(*seq).sessions.clone()).collect();
        let (undoes, redoes) = if redo { (Vec::new(), taken) } else { (taken, Vec::new()) };
        let seq = applied.version.seq();
        self.lines.push(Line { seq, does: redo, undoes, redoes, owner, sessions, ..Line::default() });
    }

    fn made(&mut self, author: &Author, applied: &Applied) {
        if !applied.operations.is_empty() {
            let (seq, owner) = (applied.version.seq(), author.id.to_string());
            self.lines.push(Line { seq, does: true, new: true, owner, ..Line::default() });
        }
    }

    fn scope(&mut self) -> Scope {
        let author = *self.chance.pick(&AUTHORS);
        match self.chance.below(6) {
            0 | 1 => Scope::Flow,
            2 | 3 => Scope::Author(author.to_owned()),
            _ => Scope::Session(format!("{author}-{}", self.chance.below(2))),
        }
    }

    /// The units of a scope, the newest first, by looking at every entry.
    fn stack(&self, scope: &Scope, redo: bool) -> Vec<Seq> {
        let mine = |line: &Line| match scope {
            Scope::Author(author) => line.owner == *author,
            Scope::Session(session) => line.sessions.contains(session),
            _ => true,
        };
        let gone = |seq: Seq| self.lines.iter().any(|l| l.undoes.contains(&seq) || l.redoes.contains(&seq));
        let cleared = |undo: &Line| {
            let after = self.lines.iter().filter(|line| line.new && line.seq > undo.seq);
            let mut clears = after.filter(|line| matches!(scope, Scope::Flow) || line.owner == undo.owner);
            clears.next().is_some()
        };
        let on = |line: &&Line| {
            let is = if redo { !line.undoes.is_empty() && !cleared(line) } else { line.does };
            is && mine(line) && !gone(line.seq)
        };
        self.lines.iter().filter(on).map(|line| line.seq).rev().collect()
    }

    /// All entries of the gesture of a unit: neighbours of one group on the stack of its author.
    fn gesture(&self, unit: Seq) -> Vec<Seq> {
        let line = self.line(unit);
        let own = self.stack(&Scope::Author(line.owner.clone()), false);
        let at = own.iter().position(|seq| *seq == unit).unwrap();
        let same = |seq: &&Seq| line.group.is_some() && self.line(**seq).group == line.group;
        let mut run: Vec<Seq> = own[..at].iter().rev().take_while(same).copied().collect();
        run.push(unit);
        run.extend(own[at + 1..].iter().take_while(same));
        run.sort_unstable_by(|a, b| b.cmp(a));
        run
    }

    /// Compares what the engine would take with what the model has on the stack.
    fn check_stack(&self, scope: &Scope, redo: bool) -> bool {
        let what = format!("seed {}, {scope:?}, redo {redo}, after {}", self.seed, self.lines.len());
        let stack = self.stack(scope, redo);
        let wish = if redo { Proposal::redo(scope.clone()) } else { Proposal::undo(scope.clone()) };
        let plan = match self.history.plan(&Author::user("eve"), wish) {
            Ok(plan) => plan,
            Err(Error::NothingToUndo | Error::NothingToRedo) => {
                // All of them may have been done by others already; then there is nothing to do about any.
                return !stack.is_empty();
            }
            Err(error) => panic!("{what}: {error}"),
        };
        let mut passed = plan.passed_over().to_vec();
        let next =
            stack.iter().find(|seq| !passed.contains(seq)).unwrap_or_else(|| panic!("{what}: {stack:?}"));
        let expected = if redo { vec![*next] } else { self.gesture(*next) };
        assert_eq!(plan.taken(), expected, "{what}: stack {stack:?}, passed over {passed:?}");
        passed.retain(|seq| !stack.contains(seq) && self.line(*seq).group.is_none());
        assert!(passed.is_empty(), "{what}: {passed:?} are on no stack");
        true
    }

    /// Anything at all.
    fn anything(&mut self) {
        let author = self.author();
        let scope = self.scope();
        let mode = *self.chance.pick(&[Mode::Strict, Mode::Partial, Mode::Force]);
        match self.chance.below(12) {
            0..=4 => drop(self.change()),
            5 => self.noise(),
            at @ 6..=9 => {
                let redo = at > 8;
                let wish = if redo { Proposal::redo(scope) } else { Proposal::undo(scope) };
                match self.history.apply(&author, wish.mode(mode)) {
                    Ok(applied) => self.took(redo, &applied),
                    Err(error) => assert_refused(&error),
                }
            }
            10 => {
                let seq = Seq(1 + self.chance.below(self.lines.len().max(1)) as u64);
                match self.history.apply(&author, Proposal::revert([seq]).mode(mode)) {
                    Ok(applied) => self.made(&author, &applied),
                    Err(error) => assert_refused(&error),
                }
            }
            _ => {
                let to = self.chance.below(self.lines.len() + 1) as u64;
                let part = match self.flow().in_order().first() {
                    Some(first) if self.chance.once_in(2) => Part::Subtree(first.id.clone()),
                    _ => Part::Flow,
                };
                match self.history.apply(&author, Proposal::restore(part, to).mode(mode)) {
                    Ok(applied) => self.made(&author, &applied),
                    Err(error) => assert_refused(&error),
                }
            }
        }
    }
}

fn assert_refused(error: &Error) {
    let refused = matches!(
        error,
        Error::NothingToUndo
            | Error::NothingToRedo
            | Error::Conflicts { .. }
            | Error::Denied { .. }
            | Error::NotAChange { .. }
            | Error::UnknownVersion { .. }
    );
    assert!(refused, "{error:?}");
}

/// Plays in many histories, so many steps in all.
fn play(first_seed: u64, steps: usize, step: impl FnMut(&mut Play)) -> Vec<Play> {
    play_with(Tuning::default(), first_seed, steps, step)
}

fn play_with(tuning: Tuning, first_seed: u64, steps: usize, mut step: impl FnMut(&mut Play)) -> Vec<Play> {
    let mut played = Vec::new();
    let mut left = steps * thoroughness();
    let mut seed = first_seed;
    while left > 0 {
        let mut play = Play::begin_with(seed, tuning.clone());
        for _ in 0..LENGTH.min(left) {
            step(&mut play);
        }
        left -= LENGTH.min(left);
        seed += 1;
        played.push(play);
    }
    played
}

/// The same of the flow at a version.
fn exactly_at(history: &History, seq: u64) -> (Vec<Operation>, flow_history::StateHash) {
    exactly(&history.at(seq).unwrap().to_flow().unwrap())
}

/// Everything of a flow that a step back must bring back.
fn exactly(flow: &Flow) -> (Vec<Operation>, flow_history::StateHash) {
    (slots_of(flow).1, flow.state_hash())
}

#[test]
fn i1_the_inverse_of_a_change_leads_exactly_back() {
    let mut undone = 0;
    play(10_000, STEPS / 2, |play| {
        let before = exactly(&play.flow());
        play.change();
        let author = play.author();
        let gesture = play.gesture(play.lines.last().unwrap().seq).len();
        if gesture == 1 {
            let applied = play.history.undo(Scope::Flow, &author).unwrap();
            assert_eq!(exactly(&play.flow()), before, "seed {}", play.seed);
            play.took(false, &applied);
            undone += 1;
        }
    });
    assert!(undone > STEPS / 5, "{undone}");
}

#[test]
fn i2_undo_and_redo_lead_nowhere() {
    let mut done = 0;
    play(20_000, STEPS / 3, |play| {
        play.change();
        let (author, before) = (play.author(), exactly(&play.flow()));
        let scope = play.scope();
        let undone = match play.history.undo(scope.clone(), &author) {
            Ok(applied) => applied,
            Err(error) => return assert_refused(&error),
        };
        play.took(false, &undone);
        let redone = play.history.redo(scope.clone(), &author);
        let applied = redone.unwrap_or_else(|error| {
            panic!("seed {}, {scope:?} by {author:?}: {error} after {undone:?}", play.seed)
        });
        play.took(true, &applied);
        assert_eq!(exactly(&play.flow()), before, "seed {}", play.seed);
        done += 1;
    });
    assert!(done > STEPS / 10, "{done}");
}

#[test]
fn i3_undos_visit_every_version_before_and_redos_every_one_after() {
    let alice = Author::user("alice");
    let rounds = STEPS / 100 * thoroughness();
    for round in 0..rounds {
        let mut play = Play::begin(30_000 + round as u64);
        let mut visited = vec![exactly(&play.flow())];
        for _ in 0..33 {
            let operations = play.operations();
            play.history.change(&alice, "").operations(operations).append().unwrap();
            visited.push(exactly(&play.flow()));
        }
        for earlier in visited.iter().rev().skip(1) {
            let applied = play.history.undo(Scope::Flow, &alice).unwrap();
            let now = exactly(&play.flow());
            if now != *earlier {
                let only = |a: &[Operation], b: &[Operation]| {
                    a.iter().filter(|o| !b.contains(o)).cloned().collect::<Vec<_>>()
                };
                panic!(
                    "seed {}: {:?} undone by {:?}: {:?} instead of {:?}",
                    play.seed,
                    applied.taken,
                    applied.operations,
                    only(&now.0, &earlier.0),
                    only(&earlier.0, &now.0)
                );
            }
        }
        assert!(matches!(play.history.undo(Scope::Flow, &alice), Err(Error::NothingToUndo)));
        for later in visited.iter().skip(1) {
            play.history.redo(Scope::Flow, &alice).unwrap();
            assert_eq!(exactly(&play.flow()), *later, "seed {}", play.seed);
        }
        assert!(matches!(play.history.redo(Scope::Flow, &alice), Err(Error::NothingToRedo)));
    }
}

/// A flow as undo sees it once some secrets are gone.
fn without_gone(flow: &Flow, gone: &[SecretRef]) -> (Vec<Operation>, flow_history::StateHash) {
    let mut without = flow.clone();
    for (_, component) in flow.iter() {
        if let Some(left) = component.without_secrets(&|secret| gone.contains(secret)) {
            for (field, value) in left.fields.iter() {
                without.apply(&Operation::set(&component.id, field, value.clone())).unwrap();
            }
        }
    }
    exactly(&without)
}

/// I3 where secrets are shredded on the way: each version is as it was, but for null in their places, and no undo or redo
/// stumbles over it.
#[test]
fn i3_holds_but_for_secrets_that_were_shredded() {
    let alice = Author::user("alice");
    let rounds = STEPS / 100 * thoroughness();
    let (mut shredded, mut left_out, mut taken) = (0, 0, 0);
    for round in 0..rounds {
        let mut play = Play::begin(35_000 + round as u64);
        let mut visited = vec![play.flow()];
        for _ in 0..33 {
            let operations = play.operations();
            play.history.change(&alice, "").operations(operations).append().unwrap();
            visited.push(play.flow());
        }
        let mut gone = Vec::new();
        let shred = |play: &mut Play, gone: &mut Vec<SecretRef>| {
            if play.chance.once_in(6) && gone.len() < play.secrets.len() {
                let secret = play.secrets[gone.len()].clone();
                play.history.shred(&secret, &alice).unwrap();
                gone.push(secret);
            }
        };
        // Backwards, then forwards. A change of which nothing is left but a secret that is gone is passed over.
        let mut changes = BTreeMap::new();
        for redo in [false, true] {
            loop {
                shred(&mut play, &mut gone);
                let wish = if redo { Proposal::redo(Scope::Flow) } else { Proposal::undo(Scope::Flow) };
                let applied = match play.history.apply(&alice, wish) {
                    Ok(applied) => applied,
                    Err(Error::NothingToUndo | Error::NothingToRedo) => break,
                    // Of what is left nothing but secrets would come back.
                    Err(Error::Conflicts { conflicts, .. }) => {
                        conflicts.iter().for_each(|c| assert_eq!(c.obstacle.name(), "SecretGone"));
                        left_out += conflicts.len();
                        break;
                    }
                    Err(error) => panic!("seed {}: {error}", play.seed),
                };
                // The version that the change made, and the one before it.
                let at = match changes.get(&applied.taken[0]) {
                    Some(change) => *change,
                    None => {
                        changes.insert(applied.version.seq(), applied.taken[0].0 as usize);
                        applied.taken[0].0 as usize - 1
                    }
                };
                let (now, then) = (without_gone(&play.flow(), &gone), without_gone(&visited[at], &gone));
                assert_eq!(now, then, "seed {}, version {at}, {:?}", play.seed, applied.taken);
                applied.conflicts.iter().for_each(|c| assert_eq!(c.obstacle.name(), "SecretGone"));
                left_out += applied.conflicts.len();
                taken += 1;
            }
            let end = &visited[if redo { visited.len() - 1 } else { 0 }];
            assert_eq!(without_gone(&play.flow(), &gone), without_gone(end, &gone), "seed {}", play.seed);
        }
        shredded += gone.len();
        play.history.verify().unwrap();
    }
    assert!(shredded > rounds && left_out > rounds / 2, "{shredded} {left_out}");
    assert!(taken > 60 * rounds, "{taken} of {} were taken", 66 * rounds);
}

/// The files without some of those that are derived from the log.
fn without(files: &BTreeMap<String, Vec<u8>>, goes: impl Fn(&str) -> bool) -> MemoryStorage {
    MemoryStorage::with_files(
        files.iter().filter(|(name, _)| !goes(name)).map(|(n, b)| (n.clone(), b.clone())).collect(),
    )
}

#[test]
fn i4_every_version_is_the_same_from_every_checkpoint_and_from_the_start() {
    let is_checkpoint = |name: &str| name.starts_with("checkpoint-");
    let (mut checkpoints, mut compared) = (0, 0);
    for (at, play) in play_with(Tuning::hostile(), 40_000, STEPS, Play::anything).into_iter().enumerate() {
        // What was read while it was live: the stored hash of each version.
        let live: Vec<_> = (0..=play.lines.len() as u64).map(|seq| exactly_at(&play.history, seq)).collect();
        play.history.mark(&Author::user("alice"), Mark::Deploy).unwrap();
        play.history.clone().close().unwrap();
        let files = play.storage.files();
        let named: Vec<&String> = files.keys().filter(|name| is_checkpoint(name)).collect();
        checkpoints += named.len();

        let log = Log::open(Arc::new(MemorySource(files.clone()))).unwrap();
        let mut replay = Replay::from_the_start(&log);
        for (seq, live) in live.iter().enumerate() {
            replay.run_to(Seq(seq as u64)).unwrap();
            assert_eq!(exactly(&replay.state().flow), *live, "seed {}, version {seq}, replayed", play.seed);
        }
        // From each checkpoint, those before it being there because it may share their pages, and from none; one history
        // in four, so that it stays quick.
        if at % 4 > 0 {
            continue;
        }
        for last in named.iter().map(|name| Some(name.as_str())).chain([None]) {
            let storage = without(&files, |name| is_checkpoint(name) && Some(name) > last);
            let history = History::options().open_storage_read_only(Arc::new(storage)).unwrap();
            for (seq, live) in live.iter().enumerate().skip(at % 5).step_by(5) {
                let found = exactly_at(&history, seq as u64);
                assert_eq!(found, *live, "seed {}, version {seq} from {last:?}", play.seed);
                compared += 1;
            }
        }
    }
    assert!(
        checkpoints > STEPS / 100 && compared > STEPS / 10,
        "{checkpoints} checkpoints, {compared} compared"
    );
}

#[test]
fn i5_a_revert_in_nobodys_way_is_a_replay_without() {
    let mut reverted = 0;
    let mut touched: Vec<(String, Option<&str>)> = Vec::new();
    play(50_000, STEPS / 2, |play| {
        // Values only, so that no change depends on another: places in lists and maps are relative to what is there.
        let author = play.author();
        let id = format!("c{}", play.chance.below(12));
        let field = *play.chance.pick(&["a", "b", "c"]);
        let change = play.history.change(&author, "");
        if play.lines.is_empty() {
            touched.clear();
        }
        let mut whole = true;
        let change = match play.flow().component(&id) {
            None => change.add(Component::new(id.as_str(), "k").field("a", 0).field("b", 0).field("c", 0)),
            Some(_) if play.chance.once_in(9) => change.remove(id.as_str()),
            Some(_) => {
                whole = false;
                change.set(id.as_str(), field, play.chance.below(5) as u64)
            }
        };
        touched.push((id, (!whole).then_some(field)));
        let seq = change.append().unwrap().seq();
        play.lines.push(Line { seq, ..Line::default() });
        let back = play.chance.below(12) as u64;
        let entry = Seq(seq.0.saturating_sub(back).max(1));
        // A value that went away and came back is what was left there: to a plan that is clean, to a replay it is not.
        let (mine, since) = touched[usize::try_from(entry.0).unwrap() - 1..].split_first().unwrap();
        let meets = |(id, field): &(String, Option<&str>)| {
            *id == mine.0 && (field.is_none() || mine.1.is_none() || *field == mine.1)
        };
        let plan = play.history.plan(&author, Proposal::revert([entry])).unwrap();
        if plan.conflicts().is_empty() && !since.iter().any(meets) {
            let without = play.history.replay_without(&[entry]).unwrap();
            if !without.misfits.is_empty() {
                return;
            }
            let mut flow = play.flow();
            flow.apply_all(plan.operations()).unwrap();
            assert_eq!(flow, without.flow, "seed {}, {entry} of {seq}", play.seed);
            reverted += 1;
        }
    });
    assert!(reverted > STEPS / 10, "{reverted}");
}

#[test]
fn i6_a_difference_leads_there_and_its_inverse_back() {
    for play in play(60_000, STEPS, Play::anything) {
        let mut chance = Chance::new(play.seed);
        for _ in 0..12 {
            let mut version =
                || play.history.at(chance.below(play.lines.len() + 1) as u64).unwrap().to_flow().unwrap();
            let (a, b) = (version(), version());
            let mut flow = a.clone();
            let back = flow.apply_all(&operations_between(&a, &b)).unwrap();
            assert_eq!(flow, b, "seed {}", play.seed);
            flow.apply_all(&back).unwrap();
            assert_eq!(flow, a, "seed {}", play.seed);
            assert!(operations_between(&a, &a).is_empty());
        }
    }
}

#[test]
fn i7_a_restore_is_that_version_and_its_undo_is_the_one_before() {
    let mut restored = 0;
    play(70_000, STEPS / 3, |play| {
        play.change();
        let author = play.author();
        let to = play.chance.below(play.lines.len() + 1) as u64;
        let (then, now) = (play.history.at(to).unwrap().state_hash().unwrap(), exactly(&play.flow()));
        let applied = play.history.restore(Part::Flow, to, &author).unwrap();
        assert_eq!(play.flow().state_hash(), then, "seed {}", play.seed);
        if applied.operations.is_empty() {
            return;
        }
        play.made(&author, &applied);
        let applied = play.history.undo(Scope::Flow, &author).unwrap();
        play.took(false, &applied);
        assert_eq!(exactly(&play.flow()), now, "seed {}", play.seed);
        restored += 1;
    });
    assert!(restored > STEPS / 10, "{restored}");
}

#[test]
fn i11_stacks_walked_from_their_tops_are_those_of_the_whole_log() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut step = 0;
    let played = play(110_000, STEPS, |play| {
        play.anything();
        step += 1;
        if step % 4 == 0 {
            let scope = play.scope();
            for redo in [false, true] {
                if play.check_stack(&scope, redo) && !play.stack(&scope, redo).is_empty() {
                    *counts.entry(if redo { "redo" } else { "undo" }).or_default() += 1;
                }
            }
        }
    });
    // Offline, and after a restart: the log alone says the same, in lists and in tops.
    for mut play in played {
        let mut fold = Fold::default();
        for line in play.history.log() {
            let entry = line.unwrap().entry;
            fold.follow(entry.seq, &entry.header, &entry.body);
        }
        let newest_first = |seqs: &[Seq]| {
            let mut seqs = seqs.to_vec();
            seqs.sort_unstable_by(|a, b| b.cmp(a));
            seqs
        };
        assert_eq!(newest_first(&fold.flow().undo), play.stack(&Scope::Flow, false), "seed {}", play.seed);
        assert_eq!(newest_first(&fold.flow().redo), play.stack(&Scope::Flow, true), "seed {}", play.seed);
        for author in AUTHORS {
            let (lists, scope) = (fold.of_author(author), Scope::Author(author.to_owned()));
            assert_eq!(newest_first(&lists.undo), play.stack(&scope, false), "seed {}", play.seed);
            assert_eq!(newest_first(&lists.redo), play.stack(&scope, true), "seed {}", play.seed);
        }
        let storage = MemoryStorage::with_files(play.storage.files());
        play.history = History::options().open_storage_read_only(Arc::new(storage)).unwrap();
        for scope in [Scope::Flow, Scope::Author("bob".into()), Scope::Session("carol-1".into())] {
            for redo in [false, true] {
                play.check_stack(&scope, redo);
            }
        }
    }
    assert!(counts["undo"] > 500 && counts["redo"] > 100, "a generator is blind: {counts:?}");
}

/// Denies whatever has an odd digit in its id, as of any version.
#[test]
fn what_is_at_hand_is_planned_as_the_log_says() {
    let mut compared = 0;
    play(190_000, STEPS, |play| {
        play.anything();
        if !play.chance.once_in(12) {
            return;
        }
        // So much that is on no stack that what everybody did last is no longer among the newest entries.
        for _ in 0..play.chance.below(50) {
            let seq = play.history.mark(&Author::user("alice"), Mark::Deploy).unwrap().seq();
            play.lines.push(Line { seq, ..Line::default() });
        }
        let copy = Arc::new(MemoryStorage::with_files(play.storage.files()));
        let log = History::options().open_storage_read_only(copy).unwrap();
        let now = play.flow();
        for author in AUTHORS {
            let scope = Scope::Author(author.to_owned());
            for wish in [Proposal::undo(scope.clone()), Proposal::redo(scope)] {
                let told = |history: &History| match history.plan(&Author::user("eve"), wish.clone()) {
                    Ok(plan) => {
                        let mut flow = now.clone();
                        flow.apply_all(plan.operations()).unwrap();
                        let entries = (plan.taken().to_vec(), plan.passed_over().to_vec());
                        Ok((entries, plan.conflicts().to_vec(), exactly(&flow)))
                    }
                    Err(error) => Err(error.to_string()),
                };
                assert_eq!(told(&play.history), told(&log), "seed {}, {wish:?}", play.seed);
                compared += 1;
            }
        }
    });
    assert!(compared > STEPS / 4, "{compared}");
}

struct Odd;

fn is_odd(id: &str) -> bool {
    id.bytes().last().is_some_and(|digit| digit % 2 == 1)
}

impl Authorizer for Odd {
    fn decide(&self, question: &Question<'_>) -> Decision {
        if question.action == Action::Read || !is_odd(question.component) {
            return Decision::Allow;
        }
        Decision::Deny { reason: "it is odd".to_owned() }
    }
}

#[test]
fn i13_no_plan_touches_what_is_denied() {
    let (mut denied, mut allowed) = (0, 0);
    play(130_000, STEPS / 2, |play| {
        if play.lines.is_empty() {
            let keys = Arc::new(VaultKey::new("key", [7; 32]));
            let options = History::options().authorizer(Arc::new(Odd)).vault_keys(keys);
            let options = options.clock(SeededClock::new(play.seed));
            play.history = options.open_storage(Arc::new(MemoryStorage::new())).unwrap();
            play.secrets = vec![play.history.seal_secret("odd").unwrap()];
        }
        play.anything();
        let (author, scope) = (play.author(), play.scope());
        let mode = *play.chance.pick(&[Mode::Strict, Mode::Partial, Mode::Cascade, Mode::Force]);
        let Ok(plan) = play.history.plan(&author, Proposal::undo(scope).mode(mode)) else { return };
        let flow = play.flow();
        for operation in plan.operations() {
            // What is added needs the right to write what contains it.
            let needs = match operation {
                Operation::Add { component, .. } => component.parent.as_ref().unwrap_or(&component.id),
                other => other.id(),
            };
            assert!(!is_odd(needs) || flow.component(needs).is_none(), "seed {}: {operation:?}", play.seed);
        }
        denied += usize::from(!plan.denials().is_empty());
        allowed += usize::from(plan.denials().is_empty() && !plan.operations().is_empty());
        let refused = plan.conflicts().iter().any(|c| c.obstacle.name() == "Denied" && c.resolved.is_none());
        if refused {
            let before = play.history.version();
            match plan.finish() {
                Err(Error::Denied { denial, .. }) => assert_eq!(denial.reason, "it is odd"),
                other => panic!("seed {}: {other:?}", play.seed),
            }
            assert_eq!(play.history.version(), before);
        }
    });
    assert!(denied > 100 && allowed > 100, "{denied} {allowed}");
}
