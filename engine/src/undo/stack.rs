//! Walking down a stack from its top, and finding the unit that a scope means.

use std::collections::HashSet;
use std::sync::Arc;

use flow_history_replay::{Beneath, HEADER_ITEMS_MAX, Intent, Seq, Tops};

use super::entries::{Entries, Glance, Known};
use super::proposal::Scope;
use crate::Error;

/// Entries that a search for the right place of an undo on somebody else's stack looks at.
const LOOKED_AT_MAX: usize = 64;

/// Which of the two stacks of a scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stack {
    Undo,
    Redo,
}

/// Whose stacks an entry's header is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    Flow,
    Owner,
}

impl Stack {
    pub(super) fn top(self, tops: Tops) -> Option<Seq> {
        match self {
            Stack::Undo => tops.undo,
            Stack::Redo => tops.redo,
        }
    }

    /// Whether an entry of this intent is a unit on it, as against one that says that another is gone.
    fn holds(self, intent: Intent) -> bool {
        (self == Stack::Redo) == (intent == Intent::Undo)
    }
}

/// A walk down a stack.
pub(super) struct Descent {
    stack: Stack,
    of: Of,
    next: Option<Seq>,
    /// Units that lie further down and were taken from there.
    gone: HashSet<Seq>,
}

impl Descent {
    pub(super) fn new(stack: Stack, of: Of, tops: Tops) -> Self {
        Self { stack, of, next: stack.top(tops), gone: HashSet::new() }
    }

    /// The next unit that is still on the stack.
    pub(super) fn next_unit(&mut self, entries: &mut Entries) -> Result<Option<Glance>, Error> {
        while let Some(glance) = self.step(entries)? {
            if !self.stack.holds(glance.header.intent) {
                self.gone.extend(glance.taken());
            } else if !self.gone.remove(&glance.seq) {
                return Ok(Some(glance));
            }
        }
        Ok(None)
    }

    fn step(&mut self, entries: &mut Entries) -> Result<Option<Glance>, Error> {
        let Some(seq) = self.next else { return Ok(None) };
        let glance = entries.glance(seq)?;
        let beneath = glance.header.beneath.as_ref().map(|beneath| match self.of {
            Of::Flow => beneath.flow,
            Of::Owner => beneath.author,
        });
        // INVARIANT: what lies beneath is older, so that the walk ends, whatever a file says.
        self.next = beneath.and_then(|tops| self.stack.top(tops)).filter(|next| *next < seq);
        Ok(Some(glance))
    }
}

/// The top of a stack once these units, the newest first, are taken from it: what lies beneath them where they are its
/// topmost, and the same as before where they are not.
fn top_without(
    stack: Stack,
    of: Of,
    tops: Tops,
    units: &[Arc<Known>],
    entries: &mut Entries,
) -> Result<Option<Seq>, Error> {
    let unchanged = stack.top(tops);
    let mut descent = Descent::new(stack, of, tops);
    if unchanged.is_none() {
        return Ok(None);
    }
    for unit in units.iter().take(LOOKED_AT_MAX) {
        match descent.next_unit(entries)? {
            Some(other) if other.seq == unit.seq() => {}
            _ => return Ok(unchanged),
        }
    }
    // What was taken from further down must go on being passed over.
    Ok(if descent.gone.is_empty() && units.len() <= LOOKED_AT_MAX { descent.next } else { unchanged })
}

/// What lies beneath a new undo or redo of these units on the stacks that it moves.
pub(super) fn beneath(
    intent: Intent,
    units: &[Arc<Known>],
    (owner, flow, own): (Arc<str>, Tops, Tops),
    entries: &mut Entries,
) -> Result<Beneath, Error> {
    let mut moved = |of, tops: Tops| -> Result<Tops, Error> {
        Ok(match intent {
            Intent::Undo => Tops { undo: top_without(Stack::Undo, of, tops, units, entries)?, ..tops },
            _ => Tops { redo: top_without(Stack::Redo, of, tops, units, entries)?, ..tops },
        })
    };
    Ok(Beneath { flow: moved(Of::Flow, flow)?, author: moved(Of::Owner, own)?, owner })
}

/// The units of a scope, the newest first.
pub(super) struct Search {
    scope: Scope,
    /// Several where a scope's units are spread over the stacks of authors.
    descents: Vec<(Descent, Option<Glance>)>,
}

impl Search {
    pub(super) fn new(scope: &Scope, descents: Vec<Descent>) -> Self {
        Self { scope: scope.clone(), descents: descents.into_iter().map(|descent| (descent, None)).collect() }
    }

    pub(super) fn next_unit(&mut self, entries: &mut Entries) -> Result<Option<Glance>, Error> {
        for (descent, held) in &mut self.descents {
            while held.is_none() {
                let Some(unit) = descent.next_unit(entries)? else { break };
                if is_in(&self.scope, &unit, entries)? {
                    *held = Some(unit);
                }
            }
        }
        let newest = self.descents.iter_mut().max_by_key(|(_, held)| held.as_ref().map(|unit| unit.seq));
        Ok(newest.and_then(|(_, held)| held.take()))
    }
}

fn is_in(scope: &Scope, unit: &Glance, entries: &mut Entries) -> Result<bool, Error> {
    Ok(match scope {
        Scope::Flow | Scope::Author(_) => true,
        Scope::Session(session) => {
            entries.any_root(unit, |root| root.session.as_deref() == Some(session.as_str()))?
        }
        Scope::Subtree(id) => {
            let unit = entries.get(unit.seq)?;
            let (before, after) = entries.around(unit.seq())?;
            unit.operations()
                .iter()
                .any(|operation| before.is_inside(operation.id(), id) || after.is_inside(operation.id(), id))
        }
    })
}

/// All entries of the gesture that a unit is part of, the newest first: those of one group that follow one another on
/// the stack of their author.
pub(super) fn gesture(
    unit: &Glance,
    own: Tops,
    frozen: Option<Seq>,
    entries: &mut Entries,
) -> Result<Vec<Seq>, Error> {
    let group = unit.header.group.clone();
    if group.is_none() || !unit.header.intent.is_undoable() {
        return Ok(vec![unit.seq]);
    }
    let mut run: Vec<Seq> = Vec::new();
    let mut descent = Descent::new(Stack::Undo, Of::Owner, own);
    while let Some(other) = descent.next_unit(entries)? {
        if other.header.group == group && other.header.intent.is_undoable() {
            run.push(other.seq);
            continue;
        }
        if run.contains(&unit.seq) || other.seq < unit.seq {
            break;
        }
        run.clear();
    }
    if !run.contains(&unit.seq) {
        return Ok(vec![unit.seq]);
    }
    // A gesture of more entries than one entry can name takes several undos.
    run.truncate(HEADER_ITEMS_MAX);
    run.retain(|of_run| frozen.is_none_or(|frozen| *of_run > frozen));
    Ok(run)
}
