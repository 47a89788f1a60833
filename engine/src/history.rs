//! The handle that a host holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flow_history_flow::{Difference, Flow, Slot};
use flow_history_replay::{
    Author, Body, Ending, FlowVersionId, Intent, LogError, LogIndex, Mark, Seq, State,
};

use crate::change::{About, ChangeBuilder};
use crate::checkpoints::checkpoint_when_due;
use crate::files::Files;
use crate::log_lines::Log;
use crate::options::Options;
use crate::past::Past;
use crate::published::Published;
use crate::recovery;
use crate::sealing::seal_when_full;
use crate::seen::Seen;
use crate::selector::At;
use crate::stamper::Stamper;
use crate::stats::{Stats, sizes};
use crate::storage::Storage;
use crate::subscription::Subscription;
use crate::succession::{Predecessor, predecessor_of};
use crate::sync::Mutex;
use crate::telemetry::{self, Phase};
use crate::undo::{self, Applied, LeftBehind, Part, Plan, Proposal, Scope, Without};
use crate::vault::{self, Vault};
use crate::verify::{Verified, verify};
use crate::view::View;
use crate::writer::{HeadInfo, Writer};
use crate::{Authorizer, Error, Mark as MarkBody};

/// Versions are near each other up to so many entries, and so many components touched between: then what was touched is
/// looked at one by one.
const NEAR_ENTRIES: u64 = 256;
const NEAR_COMPONENTS: usize = 32;

/// A history: everything that was ever done to a flow, and the flow at any of its versions.
///
/// Cloning gives another handle to the same history; handles may be used from any thread. One handle or its clones, in
/// one process, may write a history at a time; any number of processes may read it meanwhile. The last clone to be
/// dropped closes the history; [`History::close`] does so with its errors returned.
#[derive(Clone)]
pub struct History {
    shared: Arc<Shared>,
}

struct Shared {
    files: Arc<Files>,
    published: Arc<Published>,
    running: Arc<Published>,
    declaring: Mutex<()>,
    authorizer: Option<Arc<dyn Authorizer>>,
    vault: Arc<Vault>,
    /// Where what it succeeded is, where the host says so.
    predecessor_storage: Option<Arc<dyn Storage>>,
    /// What it succeeded, once it was asked.
    predecessor: Mutex<Option<Option<Arc<Predecessor>>>>,
    role: Role,
}

enum Role {
    Writer(Arc<Writer>),
    /// The head as it was read last.
    Reader(Mutex<Arc<ReadHead>>),
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Not left to the writer's own drop: work in the background may hold it a little longer, and with it the lock.
        // Whoever wants to know whether it worked calls `close`.
        if let Role::Writer(writer) = &self.role {
            vault::settle_before_closing(&self.vault, &self.files, writer);
            let _ = writer.close();
        }
    }
}

/// The newest version as it was read last.
struct ReadHead {
    info: HeadInfo,
    state: State,
    ending: Ending,
    /// The log that it is the end of.
    log: Arc<flow_history_replay::Log>,
}

impl ReadHead {
    fn of(end: recovery::End) -> Self {
        Self { info: HeadInfo::of(&end.state), state: end.state, ending: end.ending, log: end.log }
    }
}

impl History {
    /// Opens the history in a directory to write. Creates one where nothing, or an empty directory, is.
    ///
    /// # Errors
    /// See [`Options::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Options::new().open(dir)
    }

    /// Opens the history in a directory to read, whether or not somebody writes it. Never creates anything.
    ///
    /// # Errors
    /// See [`Options::open_read_only`].
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Options::new().open_read_only(dir)
    }

    /// How to open a history in another way than usual.
    pub fn options() -> Options {
        Options::new()
    }

    pub(crate) fn open_to_write(storage: Arc<dyn Storage>, options: &Options) -> Result<Self, Error> {
        let _entered = telemetry::enter(Phase::Open);
        let files = Arc::new(Files::new(Arc::clone(&storage)));
        let mut start =
            recovery::open_to_write(&files, &options.clock, &options.tuning, !options.must_exist)?;
        vault::collect(&files, &start.state.marks, start.state.seq);
        let published = Arc::new(Published::new(start.state.version()));
        let settings = (options.tuning.clone(), options.durability);
        let (left_in, leftovers) = (Arc::clone(&storage), std::mem::take(&mut start.leftovers));
        let writer =
            Writer::new(storage, Arc::clone(&options.clock), settings, Arc::clone(&published), start);
        if !leftovers.is_empty() {
            writer.background().at_leisure(move || {
                for name in leftovers {
                    // Left again, it is in nobody's way.
                    let _ = left_in.remove(&name);
                }
            });
        }
        checkpoint_when_due(&writer, &files);
        seal_when_full(&writer, &files, options.tuning.seal_bytes_min);
        if files.log()?.segments().iter().rev().skip(1).any(|segment| segment.sealed.is_none()) {
            // What a process that was killed left raw is sealed now.
            writer.seal_soon();
            writer.background().do_own();
        }
        let read = Arc::clone(&files);
        writer.when_state_is_lost(move || recovery::read_end(&read, None).map(|end| end.state));
        let shared = Shared {
            files,
            published,
            running: Arc::new(Published::undeclared()),
            declaring: Mutex::default(),
            authorizer: options.authorizer.clone(),
            vault: Arc::new(Vault::new(options.vault_keys.clone())),
            predecessor_storage: options.predecessor.clone(),
            predecessor: Mutex::default(),
            role: Role::Writer(writer),
        };
        Self { shared: Arc::new(shared) }.with_running()
    }

    pub(crate) fn open_to_read(storage: Arc<dyn Storage>, options: &Options) -> Result<Self, Error> {
        let files = Arc::new(Files::new(storage));
        let end = recovery::open_to_read(&files)?;
        let published = Arc::new(Published::new(end.state.version()));
        let role = Role::Reader(Mutex::new(Arc::new(ReadHead::of(end))));
        let shared = Shared {
            files,
            published,
            running: Arc::new(Published::undeclared()),
            declaring: Mutex::default(),
            authorizer: options.authorizer.clone(),
            vault: Arc::new(Vault::new(options.vault_keys.clone())),
            predecessor_storage: options.predecessor.clone(),
            predecessor: Mutex::default(),
            role,
        };
        Self { shared: Arc::new(shared) }.with_running()
    }

    /// Publishes the version that a mark said runs.
    fn with_running(self) -> Result<Self, Error> {
        if let Some(seq) = self.last_head().marks.running {
            match self.find_kept(At::Number(seq)) {
                Ok(id) => self.shared.running.publish(id),
                // Nothing that runs is ever pruned; should it be gone all the same, that is no reason not to open.
                Err(Error::Pruned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }

    /// The writer: whoever writes has it from here, at each call.
    pub(crate) fn writer(&self) -> Result<&Arc<Writer>, Error> {
        match &self.shared.role {
            Role::Writer(writer) => {
                // Before any lock is taken: in a child it may be one that nobody lets go.
                writer.check_forks().map_err(|forked| forked.to_error())?;
                Ok(writer)
            }
            Role::Reader(_) => Err(Error::ReadOnly),
        }
    }

    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.shared.files
    }

    // ---- Writing ----

    /// Begins a change.
    pub fn change(&self, author: &Author, message: &str) -> ChangeBuilder {
        ChangeBuilder::new(self.clone(), author, message)
    }

    /// Appends a mark: something worth recording that changes no component.
    ///
    /// # Errors
    /// As [`ChangeBuilder::append`]; [`Error::UnknownVersion`] where it names one that does not exist.
    pub fn mark(&self, author: &Author, mark: Mark) -> Result<FlowVersionId, Error> {
        self.mark_with(author, mark, About::default())
    }

    /// Appends a mark with more in its header than an author.
    ///
    /// # Errors
    /// As [`History::mark`].
    pub fn mark_with(&self, author: &Author, mark: Mark, about: About) -> Result<FlowVersionId, Error> {
        let writer = self.writer()?;
        // Two threads that say what runs must not be published in another order than their marks stand in.
        let runs = match &mark {
            MarkBody::Running { version } => Some((self.find(*version)?, self.shared.declaring.lock())),
            _ => None,
        };
        let author = Arc::new(author.clone());
        let draft = about.into_draft(author, Intent::Mark, || writer.clock().now(), Body::Mark(mark));
        let marked = writer.append(draft)?;
        if let Some((id, _in_order)) = runs {
            // A repeated request is answered with its first result, which may have been overtaken since.
            if self.last_head().marks.running == Some(id.seq()) {
                self.shared.running.publish(id);
            }
        }
        Ok(marked)
    }

    /// Gives a version a name; an older holder of the name loses it.
    ///
    /// # Errors
    /// As [`History::mark`] and [`History::find`].
    pub fn label(&self, author: &Author, name: &str, version: impl Into<At>) -> Result<FlowVersionId, Error> {
        let version = self.find(version)?.seq();
        self.mark(author, MarkBody::Label { name: name.into(), version })
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// As [`History::mark`]; [`Error::UnknownLabel`] where no version has it.
    pub fn unlabel(&self, author: &Author, name: &str) -> Result<FlowVersionId, Error> {
        self.find(At::Label(name.to_owned()))?;
        self.mark(author, MarkBody::Unlabel { name: name.into() })
    }

    /// Keeps a version whatever is pruned.
    ///
    /// # Errors
    /// As [`History::label`].
    pub fn pin(&self, author: &Author, version: impl Into<At>) -> Result<FlowVersionId, Error> {
        let version = self.find(version)?.seq();
        self.mark(author, MarkBody::Pin { version })
    }

    /// Lets a version be pruned again.
    ///
    /// # Errors
    /// As [`History::label`].
    pub fn unpin(&self, author: &Author, version: impl Into<At>) -> Result<FlowVersionId, Error> {
        let version = self.find(version)?.seq();
        self.mark(author, MarkBody::Unpin { version })
    }

    /// Appends changes that become durable together: one write and one sync for all of them. All are accepted or none.
    ///
    /// # Errors
    /// As [`ChangeBuilder::append`].
    pub fn append_all(&self, changes: Vec<ChangeBuilder>) -> Result<Vec<FlowVersionId>, Error> {
        let writer = self.writer()?;
        let (mut drafts, mut secrets) = (Vec::with_capacity(changes.len()), Vec::new());
        let mut prepared = Ok(());
        for change in changes {
            match change.into_draft() {
                Ok((_, draft)) => {
                    secrets.push(draft.secrets.clone());
                    drafts.push(draft);
                }
                Err(error) => {
                    prepared = Err(error);
                    break;
                }
            }
        }
        let appended = prepared.and_then(|()| writer.append_all(drafts));
        for (at, secrets) in secrets.iter().enumerate() {
            let Some(secrets) = secrets else { continue };
            match &appended {
                Ok(ids) => ids.get(at).into_iter().for_each(|id| self.settle_secrets(secrets, Ok(*id))),
                Err(error) => self.settle_secrets(secrets, Err(error)),
            }
        }
        appended
    }

    /// Plans what a proposal comes to, and writes nothing. A handle that only reads can plan too.
    ///
    /// Costs the size of what is taken back; where that is not among the newest entries, the way to it as well.
    ///
    /// # Errors
    /// [`Error::NothingToUndo`], [`Error::NothingToRedo`], [`Error::Frozen`], [`Error::NotAChange`], those of
    /// [`History::at`]. What is in the way is said by the plan.
    pub fn plan(&self, author: &Author, proposal: Proposal) -> Result<Plan, Error> {
        undo::plan(self, author, proposal)
    }

    /// Plans a proposal and finishes the plan.
    ///
    /// # Errors
    /// As [`History::plan`] and [`Plan::finish`]; never [`Error::Stale`], unless somebody comes in between all the time.
    pub fn apply(&self, author: &Author, proposal: Proposal) -> Result<Applied, Error> {
        undo::apply(self, author, &proposal)
    }

    /// Takes the newest undoable unit of a scope back, by a new entry.
    ///
    /// # Errors
    /// [`Error::NothingToUndo`]; as [`History::apply`].
    pub fn undo(&self, scope: Scope, author: &Author) -> Result<Applied, Error> {
        self.apply(author, Proposal::undo(scope))
    }

    /// Does what was undone last in a scope again, by a new entry.
    ///
    /// # Errors
    /// [`Error::NothingToRedo`]; as [`History::apply`].
    pub fn redo(&self, scope: Scope, author: &Author) -> Result<Applied, Error> {
        self.apply(author, Proposal::redo(scope))
    }

    /// Takes entries back although later ones exist, by one new entry; none where that has been done already.
    ///
    /// # Errors
    /// [`Error::NotAChange`], [`Error::UnknownVersion`]; as [`History::apply`].
    pub fn revert(&self, entries: impl IntoIterator<Item = Seq>, author: &Author) -> Result<Applied, Error> {
        self.apply(author, Proposal::revert(entries))
    }

    /// Makes a part as it was at a version, by a new entry; none where it is so already.
    ///
    /// # Errors
    /// Those of [`History::at`]; as [`History::apply`].
    pub fn restore(&self, part: Part, version: impl Into<At>, author: &Author) -> Result<Applied, Error> {
        self.apply(author, Proposal::restore(part, version))
    }

    /// Says that a version runs from now on, where saving and running are not the same. Stampers give it as the current
    /// one from the moment this returns.
    ///
    /// # Errors
    /// As [`History::label`].
    pub fn running(&self, author: &Author, version: impl Into<At>) -> Result<FlowVersionId, Error> {
        let id = self.find(version)?;
        self.mark(author, MarkBody::Running { version: id.seq() })
    }

    /// What a host puts on its provenance events.
    #[must_use]
    pub fn stamper(&self) -> Stamper {
        Stamper::new(Arc::clone(&self.shared.published), Arc::clone(&self.shared.running))
    }

    /// Returns when everything that was appended or submitted is durable.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`] and [`Error::Poisoned`].
    pub fn flush(&self) -> Result<(), Error> {
        self.writer()?.flush()
    }

    /// Closes the history: everything becomes durable, a last frame says so, and the lock is let go. Clones of the
    /// handle can still read; what they append answers [`Error::Closed`].
    ///
    /// # Errors
    /// As [`History::flush`].
    pub fn close(self) -> Result<(), Error> {
        match &self.shared.role {
            Role::Writer(writer) => {
                vault::settle_before_closing(&self.shared.vault, self.files(), writer);
                writer.close()
            }
            Role::Reader(_) => Ok(()),
        }
    }

    // ---- Reading ----

    /// The name of the newest version: 16 bytes to put on every provenance event. Takes no lock and allocates nothing.
    ///
    /// Under the default durability it never names a version that a crash can take back.
    #[must_use]
    #[inline]
    pub fn version(&self) -> FlowVersionId {
        self.shared.published.load()
    }

    /// The number of the version with this name.
    ///
    /// # Errors
    /// [`Error::Foreign`] where it is of another history or of a version that this copy never had;
    /// [`Error::UnknownVersion`] where it lies beyond the head.
    pub fn resolve(&self, id: FlowVersionId) -> Result<Seq, Error> {
        let seq = id.seq();
        let head = self.fresh_head()?;
        if id == head.id {
            return Ok(seq);
        }
        if seq > head.id.seq() {
            return Err(Error::UnknownVersion { asked: seq, head: head.id.seq() });
        }
        if let Err(pruned) = self.check_kept(seq) {
            let Some(predecessor) = self.predecessor()? else { return Err(pruned) };
            return if predecessor.id_at(seq)? == Some(id) { Ok(seq) } else { Err(Error::Foreign { id }) };
        }
        self.flush_buffered()?;
        let files = self.files();
        let chain = files.read(|log| log.chain_at(seq))?;
        match chain {
            Some(chain) if FlowVersionId::new(seq, &chain) == id => Ok(seq),
            _ => Err(Error::Foreign { id }),
        }
    }

    /// The name of the version that a selector picks.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::UnknownLabel`], [`Error::BeforeFirst`] and [`Error::Foreign`] say what there
    /// is instead.
    pub fn find(&self, at: impl Into<At>) -> Result<FlowVersionId, Error> {
        let at = at.into();
        match self.find_kept(at.clone()) {
            Err(Error::Pruned { oldest }) => self.find_before(at, oldest),
            found => found,
        }
    }

    /// As [`History::find`], where the version is not one of the predecessor's.
    fn find_kept(&self, at: At) -> Result<FlowVersionId, Error> {
        let head = self.fresh_head()?;
        let newest = head.id.seq();
        let seq = match at {
            At::Id(id) => return self.resolve(id).map(|_| id),
            At::Head => return Ok(head.id),
            At::Number(seq) => seq,
            At::Back(back) => {
                newest.0.checked_sub(back).map(Seq).ok_or(Error::BeforeStart { back, head: newest })?
            }
            At::Label(label) => match head.marks.labels.get(label.as_str()) {
                Some(seq) => *seq,
                None => return Err(unknown_label(label, head.marks.labels.keys())),
            },
            At::Time(time) => {
                let files = self.files();
                let at_time = files.read(|log| log.seq_at_time(time.millis))?;
                if let Some(oldest) = self.pruned_before(time.millis)? {
                    return Err(Error::Pruned { oldest });
                }
                if at_time == Seq::ZERO {
                    let first = files.read(|log| log.first_time())?;
                    return Err(Error::BeforeFirst { asked: time.millis, first });
                }
                at_time.min(newest)
            }
        };
        if seq > newest {
            return Err(Error::UnknownVersion { asked: seq, head: newest });
        }
        self.check_kept(seq)?;
        self.flush_buffered()?;
        let files = self.files();
        let chain = files.read(|log| log.chain_at(seq))?;
        match chain {
            Some(chain) => Ok(FlowVersionId::new(seq, &chain)),
            None => Err(Error::UnknownVersion { asked: seq, head: newest }),
        }
    }

    /// The flow at a version.
    ///
    /// # Errors
    /// Those of [`History::find`]; [`Error::Damaged`] and [`Error::Io`].
    pub fn at(&self, at: impl Into<At>) -> Result<View, Error> {
        let at = at.into();
        match self.at_kept(at.clone()) {
            Err(Error::Pruned { oldest }) => {
                let id = self.find_before(at, oldest)?;
                self.predecessor()?.ok_or(Error::Pruned { oldest })?.view(id)
            }
            found => found,
        }
    }

    /// A version that the predecessor has.
    fn find_before(&self, at: At, oldest: Seq) -> Result<FlowVersionId, Error> {
        let Some(predecessor) = self.predecessor()? else { return Err(Error::Pruned { oldest }) };
        let head = self.fresh_head()?;
        let seq = match at {
            At::Id(id) => return self.resolve(id).map(|_| id),
            At::Head => return Ok(head.id),
            At::Number(seq) => seq,
            At::Back(back) => Seq(head.id.seq().0.saturating_sub(back)),
            At::Label(label) => {
                head.marks.labels.get(label.as_str()).copied().ok_or(Error::Pruned { oldest })?
            }
            At::Time(time) => predecessor.seq_at_time(time.millis)?,
        };
        predecessor.id_at(seq)?.ok_or(Error::Pruned { oldest })
    }

    /// What this history succeeded.
    fn predecessor(&self) -> Result<Option<Arc<Predecessor>>, Error> {
        let mut held = self.shared.predecessor.lock();
        if let Some(known) = &*held {
            return Ok(known.clone());
        }
        let given = self.shared.predecessor_storage.as_ref();
        let found = predecessor_of(self.files(), given)?.map(Arc::new);
        *held = Some(found.clone());
        Ok(found)
    }

    fn at_kept(&self, at: At) -> Result<View, Error> {
        if let Some(view) = self.kept_view(&at)? {
            return Ok(view);
        }
        let head = match &at {
            // What was appended since the head was looked at last does not change what lies before it.
            At::Number(seq) if *seq < self.last_head().id.seq() => self.last_head(),
            _ => self.fresh_head()?,
        };
        let (mut named, mut announced) = (None, false);
        let asked = match at {
            At::Head => head.id.seq(),
            At::Number(seq) if seq <= head.id.seq() => {
                // Most of a disk's time is waiting: what is asked next comes while it is looked whether it is still there.
                if seq < head.id.seq()
                    && let Some(index) = self.files().index_at_hand(seq)
                {
                    Past::new(self.files(), index, seq).will_be_asked();
                    announced = true;
                }
                self.check_kept(seq)?;
                seq
            }
            At::Id(id) if id == head.id => id.seq(),
            other => named.insert(self.find_kept(other)?).seq(),
        };
        if asked == head.id.seq() {
            // Whoever appends meanwhile may have moved it on; then it is read like any other.
            let view = self.head_view();
            if view.version()? == head.id {
                return Ok(view);
            }
        }
        if asked == Seq::ZERO {
            let id = self.find(asked)?;
            return Ok(View::whole(id, 0, Flow::new()));
        }
        self.flush_buffered()?;
        let files = self.files();
        if let Some(state) = files.state_at_hand(asked) {
            return Ok(View::of(&state));
        }
        // What was found by its name is seen to be it; of a number whatever has it is the version.
        let is_it = |past: &Past| {
            let is_it = |id| past.place().is_ok_and(|(chain, _)| FlowVersionId::new(asked, &chain) == id);
            named.is_none_or(is_it)
        };
        if let Some(past) = self.past(asked)?.filter(is_it) {
            if !announced {
                past.will_be_asked();
            }
            past.keep();
            return Ok(View::past(past, files));
        }
        // Pruned meanwhile, cut, exchanged or damaged: the longer way says which.
        files.forget_all();
        let state = files.read(|log| files.state_at(log, asked))?;
        match named.filter(|id| *id != state.version()) {
            Some(id) => Err(Error::Foreign { id }),
            None => Ok(View::of(&state)),
        }
    }

    /// A version before the head, to be read when it is asked for; `None` where the log does not have it. Of a version before
    /// its beginning, or behind its end, the indexes would tell what is there instead.
    fn past(&self, seq: Seq) -> Result<Option<Past>, Error> {
        let index = self.files().index_reaching(seq)?;
        let is_there = index.oldest() <= seq && seq <= index.last_seq();
        Ok(is_there.then(|| Past::new(self.files(), index, seq)))
    }

    /// A version before the head that was asked for before. What has been read once stays what it was, whatever was
    /// appended since: nobody need look whether there is more.
    fn kept_view(&self, at: &At) -> Result<Option<View>, Error> {
        let seq = match at {
            At::Number(seq) => *seq,
            At::Id(id) => id.seq(),
            _ => return Ok(None),
        };
        let files = self.files();
        let is_asked = |id: FlowVersionId| !matches!(at, At::Id(asked) if *asked != id);
        if let Some(state) = files.state_at_hand(seq).filter(|state| is_asked(state.version())) {
            return Ok(Some(View::of(&state)));
        }
        let Some(place) = files.place_at_hand(seq) else { return Ok(None) };
        let is_it = match place.get() {
            Some((chain, _)) => is_asked(FlowVersionId::new(seq, chain)),
            None => !matches!(at, At::Id(_)),
        };
        if !is_it {
            return Ok(None);
        }
        Ok(self.past(seq)?.map(|past| View::past(past, files)))
    }

    /// The entries, oldest first, with what each changed.
    pub fn log(&self) -> Log {
        // An error to find the newest version comes again when the first entry is read.
        let _ = self.flush_buffered();
        let newest = self.fresh_head().map_or(Seq(u64::MAX), |head| head.id.seq());
        Log::new(Arc::clone(self.files()), newest)
    }

    /// The durable entries after a version, past ones first, then live ones as they come.
    ///
    /// # Errors
    /// Those of [`History::find`].
    pub fn subscribe(&self, after: impl Into<At>) -> Result<Subscription, Error> {
        let after = self.find(after)?.seq();
        Ok(Subscription::new(self.clone(), after))
    }

    /// What changed from one version to another.
    ///
    /// # Errors
    /// Those of [`History::at`].
    pub fn diff(&self, before: impl Into<At>, after: impl Into<At>) -> Result<Difference, Error> {
        let (before, after) = (self.at(before)?, self.at(after)?);
        if let Some(near) = self.diff_near(&before, &after)? {
            return Ok(near);
        }
        if !before.is_whole() && !after.is_whole() {
            let (files, of) = (self.files(), (before.seq(), after.seq()));
            if let Some(told) = files.read(|log| Ok(files.difference_of_loose(log, of.0, of.1)))? {
                return Ok(told);
            }
        }
        Ok(Difference::between(before.flow()?, after.flow()?))
    }

    /// The difference of two versions that are near each other, from the components that were touched between; `None` where
    /// they are not, or where those do not tell all of it.
    fn diff_near(&self, before: &View, after: &View) -> Result<Option<Difference>, Error> {
        let (first, last) = (before.seq().min(after.seq()), before.seq().max(after.seq()));
        if last.0 - first.0 > NEAR_ENTRIES || (before.is_whole() && after.is_whole()) {
            return Ok(None);
        }
        // What is buffered is in no index.
        self.flush_buffered()?;
        let compare = || -> Result<Option<Difference>, LogError> {
            let index = match self.files().index_reaching(last) {
                Ok(index) if index.last_seq() >= last => index,
                _ => return Ok(None),
            };
            let touched = index.touched(first, last)?;
            if touched.len() > NEAR_COMPONENTS {
                return Ok(None);
            }
            let mut pairs = Vec::with_capacity(touched.len());
            for slot in touched {
                pairs.push((before.component_in(slot)?, after.component_in(slot)?));
            }
            Ok(Difference::of_components(pairs))
        };
        // Sealed or pruned meanwhile, or damaged: the longer way says which.
        Ok(compare().unwrap_or_default())
    }

    /// What the flow would be, had these entries never been made. Writes nothing; reads the log from the first of them on.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`]; [`Error::Damaged`] and [`Error::Io`].
    pub fn replay_without(&self, entries: &[Seq]) -> Result<Without, Error> {
        undo::replay_without(self, entries)
    }

    /// The undos that can no longer be done again, oldest first. Reads the whole log.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`].
    pub fn left_behind(&self) -> Result<Vec<LeftBehind>, Error> {
        undo::left_behind(self)
    }

    /// A view as somebody may see it, by the policies of its version.
    #[must_use]
    pub fn seen_by(&self, author: &Author, view: View) -> Seen {
        Seen::new(self.clone(), view, author.clone())
    }

    /// The version that each label names.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`], where it has to be read.
    pub fn labels(&self) -> Result<BTreeMap<String, Seq>, Error> {
        let head = self.fresh_head()?;
        Ok(head.marks.labels.iter().map(|(label, seq)| (label.to_string(), *seq)).collect())
    }

    /// Reads every file, checks everything that can be checked, and says what was found sound.
    ///
    /// # Errors
    /// [`Error::Damaged`] with file, offset and version; [`Error::Io`].
    pub fn verify(&self) -> Result<Verified, Error> {
        if let Role::Writer(writer) = &self.shared.role {
            writer
                .flush()
                .or_else(|error| if matches!(error, Error::Closed) { Ok(()) } else { Err(error) })?;
        }
        verify(self.files(), self.vault())
    }

    /// The history in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let head = self.last_head();
        let files = self.files();
        let sizes = sizes(files).unwrap_or_default();
        let identity = files.open_log().ok().map(|log| log.identity().clone());
        let seq = head.id.seq();
        Stats {
            history: identity
                .as_ref()
                .map_or(flow_history_replay::HistoryId([0; 16]), |identity| identity.history),
            created: identity.map_or(0, |identity| identity.created),
            head: head.id,
            head_time: (seq > Seq::ZERO).then_some(head.log_time),
            entries: seq.0,
            components: self.head_view().len().unwrap_or_default(),
            segments: sizes.segments,
            checkpoints: sizes.checkpoints,
            checkpoint_lag: seq.0.saturating_sub(sizes.newest_checkpoint),
            log_bytes: sizes.log_bytes,
            log_bytes_used: self.writer().map_or(0, |writer| writer.log_bytes()),
            checkpoint_bytes: sizes.checkpoint_bytes,
            catalog_bytes: sizes.catalog_bytes,
            total_bytes: sizes.total_bytes,
            syncs: self.writer().map_or(0, |writer| writer.syncs()),
            poisoned: self.writer().is_ok_and(|writer| writer.is_poisoned()),
            read_only: matches!(self.shared.role, Role::Reader(_)),
        }
    }

    /// How many entries were decoded so far to answer questions; what a test counts.
    #[must_use]
    pub fn entries_read(&self) -> u64 {
        self.files().entries_read()
    }

    pub(crate) fn vault(&self) -> &Arc<Vault> {
        &self.shared.vault
    }

    pub(crate) fn authorizer(&self) -> Option<Arc<dyn Authorizer>> {
        self.shared.authorizer.clone()
    }

    /// Looks at the newest state: of a handle that writes, with what is still on its way to the disk.
    pub(crate) fn look_at_head<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Error> {
        match &self.shared.role {
            Role::Writer(writer) => Ok(writer.to_plan_on(look)),
            Role::Reader(head) => {
                self.fresh_head()?;
                let held = Arc::clone(&head.lock());
                Ok(look(&held.state))
            }
        }
    }

    fn last_head(&self) -> HeadInfo {
        match &self.shared.role {
            Role::Writer(writer) => writer.head(),
            Role::Reader(head) => head.lock().info.clone(),
        }
    }

    /// The newest version, read from the files where somebody else writes them.
    fn fresh_head(&self) -> Result<HeadInfo, Error> {
        let head = match &self.shared.role {
            Role::Writer(writer) => return Ok(writer.head()),
            Role::Reader(head) => head,
        };
        let mut held = head.lock();
        if !self.files().ends_at(&held.log, &held.ending) {
            let end = recovery::read_end(self.files(), Some(&held.state))?;
            let moved = end.state.seq != held.info.id.seq();
            *held = Arc::new(ReadHead::of(end));
            if moved {
                self.shared.published.publish(held.info.id);
            }
        }
        Ok(held.info.clone())
    }

    /// The newest version as it was seen last, with its flow.
    fn head_view(&self) -> View {
        let (info, flow) = match &self.shared.role {
            Role::Writer(writer) => writer.head_and_flow(),
            Role::Reader(head) => {
                let held = Arc::clone(&head.lock());
                (held.info.clone(), held.state.flow.clone())
            }
        };
        View::whole(info.id, info.log_time, flow)
    }

    /// The slot of the component that has this id at the newest version.
    pub(crate) fn slot_at_head(&self, id: &str) -> Result<Option<Slot>, Error> {
        match &self.shared.role {
            Role::Writer(writer) => Ok(writer.to_plan_on(|state| state.flow.slot(id))),
            Role::Reader(head) => {
                self.fresh_head()?;
                Ok(head.lock().state.flow.slot(id))
            }
        }
    }

    /// The indexes of the log, as far as the newest version.
    pub(crate) fn index(&self) -> Result<Arc<LogIndex>, Error> {
        self.flush_buffered()?;
        let head = self.fresh_head()?;
        self.files().index_reaching(head.id.seq())
    }

    /// The oldest entry that is kept.
    pub(crate) fn oldest(&self) -> Result<Seq, Error> {
        let log = self.files().log()?;
        Ok(log.oldest().next().unwrap_or_default())
    }

    /// Refuses a version that was pruned.
    fn check_kept(&self, seq: Seq) -> Result<(), Error> {
        match self.files().log()?.oldest() {
            oldest if seq < oldest => Err(Error::Pruned { oldest }),
            _ => Ok(()),
        }
    }

    /// The oldest version that is kept, where what was the newest at a time was pruned.
    fn pruned_before(&self, millis: i64) -> Result<Option<Seq>, Error> {
        let log = self.files().log()?;
        Ok(log.base().filter(|base| millis < base.log_time).map(|base| base.seq))
    }

    /// The newest version that would survive a power cut, once everything appended so far would.
    pub(crate) fn durable_version(&self) -> Result<FlowVersionId, Error> {
        match &self.shared.role {
            Role::Writer(writer) => {
                match writer.flush() {
                    // What was appended before it was closed is durable.
                    Ok(()) | Err(Error::Closed) => Ok(writer.head().id),
                    Err(error) => Err(error),
                }
            }
            Role::Reader(_) => self.fresh_head().map(|head| head.id),
        }
    }

    /// What is visible before it is durable must be written before it can be read.
    pub(crate) fn flush_buffered(&self) -> Result<(), Error> {
        match &self.shared.role {
            Role::Writer(writer) if writer.is_buffered() => writer.flush(),
            _ => Ok(()),
        }
    }
}

fn unknown_label<'l>(label: String, known: impl Iterator<Item = &'l Arc<str>>) -> Error {
    // The one that shares the longest beginning, if any of it.
    let shared =
        |other: &str| label.chars().zip(other.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let nearest = known.max_by_key(|other| shared(other)).filter(|other| shared(other) > 0);
    Error::UnknownLabel { nearest: nearest.map(ToString::to_string), label }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History")
            .field("place", &self.files().place)
            .field("version", &self.version())
            .finish()
    }
}
