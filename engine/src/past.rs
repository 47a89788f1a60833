//! A past version as the files tell it, piece by piece: the nearest checkpoint at or before it, and of each component the
//! few entries since that touched it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use flow_history_checkpoint::{Checkpoint, CheckpointError};
use flow_history_flow::{Component, Slot};
use flow_history_replay::{Chain, LogError, LogIndex, Seq, Touches, What};

use crate::cache::{self, Kind};
use crate::files::{Checkpoints, Files, StoredFile};

/// A version, and what it is read from.
pub(crate) struct Past {
    files: Arc<Files>,
    index: Arc<LogIndex>,
    nearest: OnceLock<Option<Arc<Checkpoint<StoredFile>>>>,
    place: Arc<Place>,
    pub(crate) seq: Seq,
}

/// The hash chain and the log time of a version, once they were asked for.
pub(crate) type Place = OnceLock<(Chain, i64)>;

/// A component, and its slot.
type Standing = (Slot, Arc<Component>);

/// What a checkpoint has in a slot, and what touched the slot since.
type Since<'p> = (Result<Option<Arc<Component>>, CheckpointError>, Touches<&'p LogIndex>);

/// What was found of an id at a version.
struct Found {
    id: Box<str>,
    standing: Option<Standing>,
}

impl Past {
    /// A version that the indexes of the log reach. Nothing is read until it is asked for.
    pub(crate) fn new(files: &Arc<Files>, index: Arc<LogIndex>, seq: Seq) -> Self {
        let place = files.place_at_hand(seq).unwrap_or_default();
        Self { files: Arc::clone(files), index, nearest: OnceLock::new(), place, seq }
    }

    /// Notes that there is this version, for whoever asks again.
    pub(crate) fn keep(&self) {
        self.files.keep_place(self.seq, &self.place);
    }

    /// The nearest checkpoint; `None` where no sound one lies before the version: then everything is told by entries.
    fn nearest(&self) -> Option<&Arc<Checkpoint<StoredFile>>> {
        let find = || {
            let listed = self.listed();
            // One that cannot be used is passed over for an older one; one from before what was pruned is none.
            let kept = self.of_listed(&listed).iter().rev().take_while(|of| **of >= self.index.oldest());
            kept.copied().find_map(|of| {
                let found = self.files.checkpoint_of(&self.index, of);
                if found.is_err() {
                    self.files.forget_checkpoints();
                }
                found.ok()
            })
        };
        self.nearest.get_or_init(find).as_ref()
    }

    fn listed(&self) -> Arc<Checkpoints> {
        self.files.checkpoints_reaching(self.seq, self.index.last_seq())
    }

    fn of_listed<'c>(&self, listed: &'c Checkpoints) -> &'c [Seq] {
        let end = listed.seqs.partition_point(|of| *of <= self.seq);
        listed.seqs.get(..end).unwrap_or_default()
    }

    /// Has the system fetch what any question will need first, while something else is read.
    pub(crate) fn will_be_asked(&self) {
        let nearest = self.of_listed(&self.listed()).last().copied();
        if let Some(nearest) = nearest {
            self.files.will_open_checkpoint(nearest);
        }
        self.index.will_follow(nearest.unwrap_or_default(), self.seq);
    }

    /// The hash chain and the log time of the version.
    pub(crate) fn place(&self) -> Result<(Chain, i64), LogError> {
        if let Some(known) = self.place.get() {
            return Ok(*known);
        }
        let missing = || LogError::damaged("", 0, Some(self.seq), What::Missing);
        let place = self.index.place(self.seq)?.ok_or_else(missing)?;
        Ok(self.told(place))
    }

    /// Notes what the hash chain and the log time of the version are.
    pub(crate) fn told(&self, place: (Chain, i64)) -> (Chain, i64) {
        *self.place.get_or_init(|| place)
    }

    /// The component with this id, where there was one.
    pub(crate) fn component(&self, id: &str) -> Result<Option<Arc<Component>>, LogError> {
        Ok(self.find(id)?.map(|(_, component)| component))
    }

    /// The component with this id, and its slot.
    pub(crate) fn find(&self, id: &str) -> Result<Option<Standing>, LogError> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let key = self.files.key(Kind::Found, self.seq.0, hasher.finish());
        if let Some(kept) = cache::get::<Found>(key).filter(|kept| *kept.id == *id) {
            return Ok(kept.standing.clone());
        }
        let standing = self.look_for(id)?;
        let bytes = id.len() + standing.as_ref().map_or(0, |(_, component)| 64 * component.fields.len());
        cache::put(key, &Arc::new(Found { id: id.into(), standing: standing.clone() }), bytes);
        Ok(standing)
    }

    fn look_for(&self, id: &str) -> Result<Option<Standing>, LogError> {
        // Most of what is there now was there at the checkpoint, and an id is alive in one slot at most.
        if let Some((slot, component)) = self.known_to_checkpoint(id)? {
            let kept = self.files.key(Kind::Component, self.seq.0, u64::from(slot.0));
            cache::put(kept, &Arc::new(Some(Arc::clone(&component))), 64 * component.fields.len());
            return Ok(Some((slot, component)));
        }
        // It may have been given to several slots, one after the other.
        for slot in self.index.slots_until(id, self.seq) {
            let slot = slot?;
            if let Some(component) = self.component_in(slot)?
                && *component.id == *id
            {
                return Ok(Some((slot, component)));
            }
        }
        Ok(None)
    }

    /// The component that had this id at the checkpoint already, if it is still there; `None` also where the checkpoint
    /// cannot be read, for the log knows it too.
    fn known_to_checkpoint(&self, id: &str) -> Result<Option<Standing>, LogError> {
        let Some(checkpoint) = self.nearest() else { return Ok(None) };
        // Another id may have the same hash.
        for slot in checkpoint.slots_of_hash(id).unwrap_or_default() {
            let (standing, touches) = self.since(checkpoint, slot)?;
            match standing {
                Ok(Some(component)) if *component.id == *id => {
                    return Ok(self.follow(touches, Some(component))?.map(|component| (slot, component)));
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(None)
    }

    /// The component in a slot, where there was one.
    pub(crate) fn component_in(&self, slot: Slot) -> Result<Option<Arc<Component>>, LogError> {
        let key = self.files.key(Kind::Component, self.seq.0, u64::from(slot.0));
        if let Some(kept) = cache::get::<Option<Arc<Component>>>(key) {
            return Ok((*kept).clone());
        }
        let found = self.read(slot)?;
        let bytes = found.as_ref().map_or(0, |component| 64 * component.fields.len());
        cache::put(key, &Arc::new(found.clone()), bytes);
        Ok(found)
    }

    fn read(&self, slot: Slot) -> Result<Option<Arc<Component>>, LogError> {
        let Some(checkpoint) = self.nearest() else { return self.follow_from_the_oldest(slot) };
        let (standing, touches) = self.since(checkpoint, slot)?;
        match standing {
            Ok(component) => self.follow(touches, component),
            // What is derived may be missing; the log has it too.
            Err(_) => self.follow_from_the_oldest(slot),
        }
    }

    fn follow_from_the_oldest(&self, slot: Slot) -> Result<Option<Arc<Component>>, LogError> {
        self.follow(self.touches(slot, self.index.oldest())?, self.index.component_at_oldest(slot)?)
    }

    /// What was in a slot at the checkpoint, and what touched the slot since, which is on its way from the disk while the page is
    /// read.
    fn since(&self, checkpoint: &Checkpoint<StoredFile>, slot: Slot) -> Result<Since<'_>, LogError> {
        self.files.will_read_slot(checkpoint, slot);
        let touches = self.touches(slot, Seq(checkpoint.header().sequence))?;
        Ok((self.files.component_in(checkpoint, slot), touches))
    }

    /// What touched a slot from a version to this one.
    fn touches(&self, slot: Slot, from: Seq) -> Result<Touches<&LogIndex>, LogError> {
        self.index.touches(slot, from, self.seq).all()
    }

    /// Follows a component through what touched its slot.
    fn follow(
        &self,
        touches: Touches<&LogIndex>,
        mut component: Option<Arc<Component>>,
    ) -> Result<Option<Arc<Component>>, LogError> {
        let slot = touches.slot();
        for touched in touches {
            component = self.index.follow(touched?, slot, component)?;
        }
        Ok(component)
    }
}
