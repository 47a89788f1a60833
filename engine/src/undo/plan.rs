//! Plan and finish.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use flow_history_flow::{ComponentId, Conflict, Flow, Obstacle, Operation, Terms};
use flow_history_replay::{Author, Beneath, Body, FlowVersionId, Intent, Link, Seq, State, Tops};

use super::entries::{Entries, Known};
use super::gone::Gone;
use super::proposal::{Proposal, Scope, Wanted};
use super::restoring::restore;
use super::rights::{Ground, Needed, Right, obstacle, without_vanished};
use super::stack::{Descent, Of, Search, Stack, beneath, gesture};
use super::taking::{Taking, same_components, take_back};
use crate::authorizer::{Denial, Vanished};
use crate::{Error, History};

/// How often a plan is made again because somebody appended in between. Each time they got further, so somebody does.
const TRIES_MAX: usize = 1_000;
/// Components that an entry names as left out; of more it says how many there are.
const LEFT_OUT_NAMED_MAX: usize = 64;
/// The attribute that names a component, or a value of one, that was left out because something was in the way.
pub(super) const LEFT_OUT: &str = "left-out";

/// The components that an entry's attributes may name as left out. An id may hold what stands behind ids in them, so these
/// may be more than there are.
pub(crate) fn components_left_out(attributes: &[(Arc<str>, Arc<str>)]) -> Vec<ComponentId> {
    let said = attributes.iter().filter(|(name, _)| **name == *LEFT_OUT);
    let ends = said.flat_map(|(_, said)| said.match_indices(": ").map(move |(end, _)| said.get(..end)));
    ends.flatten().map(ComponentId::from).collect()
}

/// What an undo, redo, revert or restore did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applied {
    /// The version that it made; the head where nothing had to change.
    pub version: FlowVersionId,
    /// The operations that were applied, in order, for a host to apply to its running flow.
    pub operations: Vec<Operation>,
    /// The entries that were taken back or done again, the newest first; or the version that was restored.
    pub taken: Vec<Seq>,
    /// What was in the way, and how the mode resolved it.
    pub conflicts: Vec<Conflict>,
    /// Whom policies that came back no longer name.
    pub vanished: Vec<Vanished>,
}

/// What an undo, redo, revert or restore would do. Nothing is written before [`Plan::finish`]; dropping it changes
/// nothing.
///
/// A host applies the operations to its running flow, one by one in the order given, and then finishes; or finishes and
/// then applies them. See docs/hosting.md.
#[derive(Clone, Debug)]
#[must_use = "a plan that is not finished changes nothing"]
pub struct Plan {
    history: History,
    author: Author,
    proposal: Proposal,
    base: FlowVersionId,
    intent: Intent,
    taken: Vec<Seq>,
    passed_over: Vec<Seq>,
    taking: Taking,
    rights: Vec<Right>,
    denials: Vec<Denial>,
    vanished: Vec<Vanished>,
    links: Vec<Link>,
    beneath: Option<Beneath>,
}

/// The version that a plan is made on.
struct Base {
    version: FlowVersionId,
    flow: Flow,
    frozen: Option<Seq>,
    gone: Gone,
    tops: Tops,
    authors: Vec<Tops>,
}

/// Plans what a proposal comes to now.
pub(crate) fn plan(history: &History, author: &Author, proposal: Proposal) -> Result<Plan, Error> {
    // A handle that only reads can plan; a child of the process that opened one that writes cannot.
    if let Err(error @ Error::Forked { .. }) = history.writer() {
        return Err(error);
    }
    let mut tries = 0;
    loop {
        let result = try_plan(history, author, &proposal);
        tries += 1;
        if !matches!(result, Err(Error::Conflict { .. })) || tries > TRIES_MAX {
            return result;
        }
    }
}

/// Plans and finishes, as often as somebody comes in between.
pub(crate) fn apply(history: &History, author: &Author, proposal: &Proposal) -> Result<Applied, Error> {
    history.writer()?;
    let mut tries = 0;
    loop {
        let result = plan(history, author, proposal.clone())?.finish();
        tries += 1;
        if !matches!(result, Err(Error::Stale { .. })) || tries > TRIES_MAX {
            return result;
        }
    }
}

fn try_plan(history: &History, author: &Author, proposal: &Proposal) -> Result<Plan, Error> {
    let base = base(history, &proposal.wanted)?;
    let mut entries = Entries::new(history, base.version.seq(), base.flow.clone());
    let mut plan = Plan {
        history: history.clone(),
        author: author.clone(),
        proposal: proposal.clone(),
        base: base.version,
        intent: Intent::Undo,
        taken: Vec::new(),
        passed_over: Vec::new(),
        taking: Taking::default(),
        rights: Vec::new(),
        denials: Vec::new(),
        vanished: Vec::new(),
        links: Vec::new(),
        beneath: None,
    };
    match &proposal.wanted {
        Wanted::Undo(scope) => plan.find(Stack::Undo, scope, &base, &mut entries)?,
        Wanted::Redo(scope) => {
            plan.intent = Intent::Redo;
            plan.find(Stack::Redo, scope, &base, &mut entries)?;
        }
        Wanted::Revert(asked) => {
            plan.intent = Intent::Revert;
            let mut asked = asked.clone();
            asked.sort_unstable_by(|a, b| b.cmp(a));
            asked.dedup();
            let units = asked.iter().map(|seq| entries.get(*seq)).collect::<Result<Vec<_>, _>>()?;
            if let Some(mark) = units.iter().find(|unit| !unit.is_change()) {
                return Err(Error::NotAChange { entry: mark.seq() });
            }
            if let Some(at) = base.frozen.filter(|at| asked.iter().any(|seq| seq < at)) {
                return Err(Error::Frozen { at });
            }
            plan.links = asked.iter().map(|seq| Link::Reverts(*seq)).collect();
            plan.taken = asked;
            plan.take(&units, &base, &mut entries)?;
        }
        Wanted::Restore(part, version) => {
            plan.intent = Intent::Restore;
            let view = history.at(version.clone())?;
            plan.links = vec![Link::Restores(view.seq())];
            plan.taken = vec![view.seq()];
            let terms = plan.terms();
            let then = view.flow()?;
            plan.decide(&base, terms, &mut entries, &[], Some((then, view.seq())), |terms, _| {
                restore(part, &base.flow, then, (terms, &base.gone))
            })?;
        }
    }
    Ok(plan)
}

fn base(history: &History, wanted: &Wanted) -> Result<Base, Error> {
    let of = |state: &State| Base {
        version: state.version(),
        flow: state.flow.clone(),
        frozen: state.marks.frozen,
        gone: Gone::at(&state.marks),
        tops: state.stacks.flow,
        authors: match wanted {
            Wanted::Undo(Scope::Author(author)) | Wanted::Redo(Scope::Author(author)) => {
                vec![state.stacks.of_author(author)]
            }
            Wanted::Redo(Scope::Session(_)) => {
                state.stacks.authors.values().filter(|tops| tops.redo.is_some()).copied().collect()
            }
            _ => Vec::new(),
        },
    };
    history.look_at_head(of)
}

impl Plan {
    /// Finds the newest unit of a scope that there is something to do about.
    fn find(&mut self, stack: Stack, scope: &Scope, base: &Base, entries: &mut Entries) -> Result<(), Error> {
        let descents = match (scope, stack) {
            (Scope::Author(_), _) | (Scope::Session(_), Stack::Redo) => {
                base.authors.iter().map(|tops| Descent::new(stack, Of::Owner, *tops)).collect()
            }
            _ => vec![Descent::new(stack, Of::Flow, base.tops)],
        };
        let mut search = Search::new(scope, descents);
        // Secrets that are all that would be left of units that are passed over.
        let mut secrets_gone: Vec<Conflict> = Vec::new();
        loop {
            let Some(unit) = search.next_unit(entries)? else {
                return Err(match stack {
                    _ if !secrets_gone.is_empty() => {
                        Error::Conflicts { entries: self.passed_over.clone(), conflicts: secrets_gone }
                    }
                    Stack::Undo => Error::NothingToUndo,
                    Stack::Redo => Error::NothingToRedo,
                });
            };
            if let Some(at) = base.frozen.filter(|at| unit.seq < *at) {
                return Err(Error::Frozen { at });
            }
            if self.passed_over.contains(&unit.seq) {
                continue;
            }
            let owner = Arc::clone(unit.header.owner());
            let own = self.own_tops(&owner, base)?;
            let taken = match stack {
                Stack::Undo => gesture(&unit, own, base.frozen, entries)?,
                Stack::Redo => vec![unit.seq],
            };
            let units = taken.iter().map(|seq| entries.get(*seq)).collect::<Result<Vec<_>, _>>()?;
            self.take(&units, base, entries)?;
            if self.taking.is_empty() {
                // Somebody did the same already, by a revert for instance: there is nothing to take back. Or there was
                // nothing to it but secrets that are gone, which has to be said.
                secrets_gone.extend(units.iter().flat_map(|unit| base.gone.notes_of(unit)));
                self.passed_over.extend(taken);
                continue;
            }
            let link = |seq: &Seq| if stack == Stack::Undo { Link::Undoes(*seq) } else { Link::Redoes(*seq) };
            let mut links: Vec<Link> = taken.iter().map(link).collect();
            links.append(&mut self.links);
            self.links = links;
            self.taken = taken;
            secrets_gone.retain(|note| !self.taking.conflicts.contains(note));
            self.taking.conflicts.append(&mut secrets_gone);
            self.beneath = Some(beneath(self.intent, &units, (owner, base.tops, own), entries)?);
            return Ok(());
        }
    }

    /// The tops of the stacks of a unit's owner.
    fn own_tops(&self, owner: &str, base: &Base) -> Result<Tops, Error> {
        let (version, tops) =
            self.history.look_at_head(|state| (state.version(), state.stacks.of_author(owner)))?;
        if version != base.version {
            return Err(Error::Conflict { expected: base.version, actual: version });
        }
        Ok(tops)
    }

    fn terms(&self) -> Terms {
        let mut terms = Terms::default();
        terms.mode = self.proposal.mode;
        terms.left_out = self.proposal.left_out.clone();
        terms.renamed = self.proposal.renamed.clone();
        terms
    }

    /// Works out what takes units back, and what is in the way.
    fn take(&mut self, units: &[Arc<Known>], base: &Base, entries: &mut Entries) -> Result<(), Error> {
        let terms = self.terms();
        let head = base.version.seq();
        if !terms.renamed.is_empty()
            && let Some(oldest) = units.last()
        {
            let then = entries.before(oldest.seq())?;
            let taking = take_back(units, (head, &base.flow), (&terms, &base.gone), entries)?;
            self.links.extend(same_components(&taking.operations, &base.flow, &then, &terms));
        }
        self.decide(base, terms, entries, units, None, |terms, entries| {
            take_back(units, (head, &base.flow), (terms, &base.gone), entries)
        })
    }

    /// Asks who may, and leaves out what they may not, until nothing is left that they may not.
    fn decide(
        &mut self,
        base: &Base,
        mut terms: Terms,
        entries: &mut Entries,
        units: &[Arc<Known>],
        restored: Option<(&Flow, Seq)>,
        work_out: impl Fn(&Terms, &mut Entries) -> Result<Taking, Error>,
    ) -> Result<(), Error> {
        self.taking = work_out(&terms, entries)?;
        let Some(authorizer) = self.history.authorizer() else { return Ok(()) };
        let mut denied = BTreeMap::new();
        loop {
            let mut needed = Needed::default();
            let asked = (&*authorizer, &self.author, self.intent);
            let touched: HashSet<&ComponentId> = self.taking.operations.iter().map(Operation::id).collect();
            let mut refused = BTreeMap::new();
            for unit in units {
                // What the change needed, on the policies just before it; of what is in the plan.
                let (before, as_of) =
                    (entries.before(unit.seq())?, unit.seq().previous().unwrap_or_default());
                let ground = Ground::new(&before, as_of, unit.operations());
                needed.add(&ground, unit.operations());
                needed.ask(asked, (&before, as_of), &mut refused);
            }
            if let Some((then, as_of)) = restored {
                let comes = |operation: &&Operation| matches!(operation, Operation::Add { .. });
                let comes: Vec<Operation> = self.taking.operations.iter().filter(comes).cloned().collect();
                // What comes back needs the right to write it, by the policy that it had then.
                let removal: Vec<Operation> = comes.iter().map(|add| Operation::remove(add.id())).collect();
                needed.add(&Ground::new(then, as_of, &removal), &removal);
                needed.ask(asked, (then, as_of), &mut refused);
            }
            let ground = Ground::new(&base.flow, base.version.seq(), &self.taking.operations);
            needed.add(&ground, &self.taking.operations);
            needed.ask(asked, (&base.flow, base.version.seq()), &mut refused);
            self.rights = needed.rights();

            let before = denied.len();
            for (id, denial) in refused {
                if touched.contains(&id) {
                    terms.left_out.entry(id.clone()).or_insert_with(|| obstacle(&denial));
                    denied.entry(id).or_insert(denial);
                }
            }
            if denied.len() == before {
                break;
            }
            self.taking = work_out(&terms, entries)?;
        }
        // INVARIANT: no plan has an operation on what is denied.
        if let Some((id, denial)) =
            denied.iter().find(|(id, _)| self.taking.operations.iter().any(|operation| operation.id() == *id))
        {
            self.taking.operations.clear();
            let conflict = Conflict::unresolved(id.clone(), obstacle(denial));
            self.taking.conflicts.push(conflict);
        }
        self.denials = denied.into_values().collect();
        self.vanished = without_vanished(&mut self.taking.operations, &*authorizer);
        Ok(())
    }

    /// The operations, for a host to apply one by one in this order; where something is in the way and not resolved,
    /// those that are not in the way.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.taking.operations
    }

    /// What is in the way, what would resolve it, and how the mode did.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.taking.conflicts
    }

    /// Components that nobody asked for and that go, or come back, with the others.
    #[must_use]
    pub fn dependents(&self) -> &[ComponentId] {
        &self.taking.dependents
    }

    /// The rights that it needs; known where the history has an authorizer.
    #[must_use]
    pub fn rights(&self) -> &[Right] {
        &self.rights
    }

    /// Which of these its author does not have.
    #[must_use]
    pub fn denials(&self) -> &[Denial] {
        &self.denials
    }

    /// Whom policies that come back will no longer name.
    #[must_use]
    pub fn vanished(&self) -> &[Vanished] {
        &self.vanished
    }

    /// The version that it was made on.
    #[must_use]
    pub fn base(&self) -> FlowVersionId {
        self.base
    }

    /// The entries that it takes back or does again, the newest first; or the version that it restores.
    #[must_use]
    pub fn taken(&self) -> &[Seq] {
        &self.taken
    }

    /// Newer units of the scope that there is nothing left to do about, because somebody did it already, or because there
    /// was nothing to them but secrets that are gone; these are among the conflicts.
    #[must_use]
    pub fn passed_over(&self) -> &[Seq] {
        &self.passed_over
    }

    /// Whether it can be finished: nothing is in the way, or the mode resolved it.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.refusal().is_none()
    }

    /// Plans the same again without a component that the host will not touch, for a reason in words.
    ///
    /// # Errors
    /// As [`History::plan`].
    pub fn veto(self, id: impl Into<ComponentId>, reason: &str) -> Result<Plan, Error> {
        plan(&self.history, &self.author, self.proposal.veto(id, reason))
    }

    fn refusal(&self) -> Option<Error> {
        let unresolved = || self.taking.conflicts.iter().filter(|conflict| conflict.resolved.is_none());
        if let Some(Obstacle::Denied { .. }) =
            unresolved().map(|conflict| &conflict.obstacle).find(|o| matches!(o, Obstacle::Denied { .. }))
            && let Some(denial) = self.denials.first()
        {
            return Some(Error::Denied { denial: Box::new(denial.clone()), entries: self.taken.clone() });
        }
        let veto = |conflict: &&Conflict| matches!(conflict.obstacle, Obstacle::Vetoed { .. });
        if let Some(Conflict { id, obstacle: Obstacle::Vetoed { reason }, .. }) = unresolved().find(veto) {
            return Some(Error::Vetoed { component: id.clone(), reason: reason.clone() });
        }
        let nothing_left = self.taking.operations.is_empty() && !self.taking.conflicts.is_empty();
        (nothing_left || unresolved().next().is_some()).then(|| Error::Conflicts {
            entries: self.taken.clone(),
            conflicts: self.taking.conflicts.clone(),
        })
    }

    /// Appends it. Where nothing has to change, nothing is appended.
    ///
    /// # Errors
    /// [`Error::Stale`] where what it touches has moved since it was planned: the same proposal comes to something else
    /// now. [`Error::Denied`], [`Error::Vetoed`], [`Error::Conflicts`] where something is in the way; and those of an
    /// append. Nothing was written.
    pub fn finish(self) -> Result<Applied, Error> {
        let history = self.history.clone();
        let writer = history.writer()?;
        let mut plan = self;
        for _ in 0..TRIES_MAX {
            if let Some(refusal) = plan.refusal() {
                return Err(refusal);
            }
            let result = if plan.taking.operations.is_empty() {
                // What it is so already in may still be on its way to the disk.
                writer.flush()?;
                let head = history.look_at_head(State::version)?;
                if head == plan.base {
                    Ok(head)
                } else {
                    Err(Error::Conflict { expected: plan.base, actual: head })
                }
            } else {
                writer.append(plan.draft(writer.clock().now()))
            };
            match result {
                Ok(version) => {
                    return Ok(Applied {
                        version,
                        operations: plan.taking.operations,
                        taken: plan.taken,
                        conflicts: plan.taking.conflicts,
                        vanished: plan.vanished,
                    });
                }
                // Somebody appended since. What they did matters only where it makes another plan of this.
                Err(Error::Conflict { .. }) if plan.proposal.about.expected.is_none() => {
                    plan = plan.again()?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Stale { base: plan.base, head: history.version(), components: Vec::new() })
    }

    /// The same plan on the head as it is now, or what makes it another.
    fn again(self) -> Result<Plan, Error> {
        let same = |now: &Plan| {
            now.taken == self.taken && now.taking == self.taking && now.vanished == self.vanished
        };
        match plan(&self.history, &self.author, self.proposal.clone()) {
            Ok(now) if same(&now) => Ok(now),
            Ok(now) => {
                let of = |plan: &Plan| plan.taking.operations.clone();
                let (mine, others) = (of(&self), of(&now));
                let only = |a: &[Operation], b: &[Operation]| -> Vec<ComponentId> {
                    a.iter().filter(|operation| !b.contains(operation)).map(|o| o.id().clone()).collect()
                };
                let mut components = only(&mine, &others);
                components.extend(only(&others, &mine));
                components.sort_unstable();
                components.dedup();
                Err(Error::Stale { base: self.base, head: now.base, components })
            }
            Err(Error::NothingToUndo | Error::NothingToRedo | Error::Frozen { .. } | Error::Misfit(_)) => {
                let head = self.history.version();
                Err(Error::Stale { base: self.base, head, components: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }

    fn draft(&self, now: flow_history_replay::Timestamp) -> crate::writer::Draft {
        let mut about = self.proposal.about.clone();
        about.intent = None;
        about.group = None;
        about.links = self.links.clone();
        let left_out = self.taking.conflicts.iter().filter(|conflict| {
            use flow_history_flow::Resolution::{Keep, Skip, WithoutSecret};
            matches!(conflict.resolved, Some(Keep | Skip | WithoutSecret))
        });
        let count = left_out.clone().count();
        about.attributes.extend(
            left_out.take(LEFT_OUT_NAMED_MAX).map(|conflict| {
                (LEFT_OUT.to_owned(), format!("{}: {}", conflict.id, conflict.obstacle.name()))
            }),
        );
        if count > LEFT_OUT_NAMED_MAX {
            about.attributes.push((LEFT_OUT.to_owned(), format!("{} more", count - LEFT_OUT_NAMED_MAX)));
        }
        about.attributes.extend(self.vanished.iter().take(LEFT_OUT_NAMED_MAX).map(|vanished| {
            (
                LEFT_OUT.to_owned(),
                format!("{}: {} of {:?}", vanished.policy, vanished.principal, vanished.field),
            )
        }));
        let body = Body::Change(self.taking.operations.clone());
        let mut draft = about.into_draft(Arc::new(self.author.clone()), self.intent, || now, body);
        draft.header.beneath = self.beneath.clone();
        draft.planned_on = Some(self.base);
        if self.intent == Intent::Restore {
            // An entry that makes things as they were says what they were not.
            draft.expected = draft.expected.or(Some(self.base));
        }
        draft
    }
}
