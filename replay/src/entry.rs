//! A change or a mark, with its header.

use std::sync::{Arc, LazyLock};

use flow_history_flow::{Operation, Slot};

use crate::{Author, Beneath, Chain, FlowVersionId, HistoryId, Seq, Timestamp};

/// What is recorded: who did what, when and why. Never changed once it is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its place in the history.
    pub seq: Seq,
    /// The name of the version that it made.
    pub id: FlowVersionId,
    /// Who, when and why.
    pub header: Header,
    /// What.
    pub body: Body,
}

impl Entry {
    /// An entry of these parts.
    #[must_use]
    pub fn new(seq: Seq, id: FlowVersionId, header: Header, body: Body) -> Self {
        Self { seq, id, header, body }
    }
}

/// Who, when and why.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Header {
    /// What the host's clock said.
    pub host_time: Timestamp,
    /// Milliseconds since 1970 in UTC; the larger of the host's time and the log time before.
    pub log_time: i64,
    /// Who.
    pub author: Arc<Author>,
    /// Why.
    pub intent: Intent,
    /// The login session.
    pub session: Option<Arc<str>>,
    /// The request that brought it.
    pub request: Option<Request>,
    /// What it has to do with other versions.
    pub links: Vec<Link>,
    /// The gesture that it is part of: one gesture, one undo.
    pub group: Option<Arc<str>>,
    /// What the author says of it; empty where they said nothing.
    pub message: Arc<str>,
    /// What else the host wants kept.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
    /// A key by which a repeated request is known.
    pub idempotency_key: Option<Arc<str>>,
    /// The version that the author believed to be the head.
    pub expected_base: Option<Seq>,
    /// What lies beneath it on the undo and redo stacks, where it moved them.
    pub beneath: Option<Beneath>,
}

/// Most entries have this one; it is not made anew for each.
static NO_MESSAGE: LazyLock<Arc<str>> = LazyLock::new(|| "".into());

impl Header {
    /// A header with an author, a time and nothing else.
    #[must_use]
    pub fn new(author: Arc<Author>, intent: Intent, host_time: Timestamp) -> Self {
        Self {
            host_time,
            log_time: host_time.millis,
            author,
            intent,
            session: None,
            request: None,
            links: Vec::new(),
            group: None,
            message: Arc::clone(&NO_MESSAGE),
            attributes: Vec::new(),
            idempotency_key: None,
            expected_base: None,
            beneath: None,
        }
    }

    /// The id of the author on whose stacks it lies: of an undo or a redo the one whose change is taken back or done again.
    #[must_use]
    pub fn owner(&self) -> &Arc<str> {
        self.beneath.as_ref().map_or(&self.author.id, |beneath| &beneath.owner)
    }
}

/// Where a request came from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// The address it came from.
    pub address: Option<Arc<str>>,
    /// The address it was forwarded for.
    pub forwarded_for: Option<Arc<str>>,
    /// The program that sent it.
    pub agent: Option<Arc<str>>,
}

/// Why an entry was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Intent {
    /// Somebody edited.
    Edit,
    /// The newest undoable unit was taken back.
    Undo,
    /// The newest undone unit was done again.
    Redo,
    /// Older entries were taken back although later ones exist.
    Revert,
    /// Something was made as it was at a version.
    Restore,
    /// It came from a document.
    Import,
    /// It came from another line of work.
    Merge,
    /// The host's flow had changed behind the history.
    Reconcile,
    /// The host did it for nobody in particular.
    System,
    /// Nothing changed.
    Mark,
}

impl Intent {
    /// The name by which the output knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Intent::Edit => "edit",
            Intent::Undo => "undo",
            Intent::Redo => "redo",
            Intent::Revert => "revert",
            Intent::Restore => "restore",
            Intent::Import => "import",
            Intent::Merge => "merge",
            Intent::Reconcile => "reconcile",
            Intent::System => "system",
            Intent::Mark => "mark",
        }
    }

    /// Whether a change of this intent is a unit that undo can take back, and so forgets what could be done again.
    #[must_use]
    pub fn is_undoable(self) -> bool {
        matches!(self, Intent::Edit | Intent::Revert | Intent::Restore | Intent::Import | Intent::Merge)
    }
}

/// What an entry has to do with another version.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Link {
    /// It takes this entry back.
    Undoes(Seq),
    /// It does again what this undo took back.
    Redoes(Seq),
    /// It takes this entry back although later ones exist.
    Reverts(Seq),
    /// It makes things as they were at this version.
    Restores(Seq),
    /// It replaces this entry.
    Supersedes(Seq),
    /// It was copied from this version, of this history or another.
    CopiedFrom(FlowVersionId),
    /// It was merged from this version, of this history or another.
    MergedFrom(FlowVersionId),
    /// The component in the new slot is the one that was in the old slot under another id.
    SameComponent {
        /// The slot it had.
        old: Slot,
        /// The slot it has.
        new: Slot,
    },
}

/// What an entry holds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Body {
    /// Operations, applied together.
    Change(Vec<Operation>),
    /// Something that changes no component.
    Mark(Mark),
}

/// Something worth recording that changes no component.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Mark {
    /// The history was opened after it had not been closed. The bytes are random: no version before it can come back
    /// under its old id.
    Opened {
        /// The random bytes.
        random: [u8; 16],
    },
    /// The head was handed to what runs it.
    Deploy,
    /// This version runs from now on.
    Running {
        /// Which.
        version: Seq,
    },
    /// The host started again.
    Restart,
    /// A version has a name from now on; an older holder of the name loses it.
    Label {
        /// The name.
        name: Arc<str>,
        /// Which.
        version: Seq,
    },
    /// A name names nothing from now on.
    Unlabel {
        /// The name.
        name: Arc<str>,
    },
    /// A version is kept whatever is pruned.
    Pin {
        /// Which.
        version: Seq,
    },
    /// A version may be pruned again.
    Unpin {
        /// Which.
        version: Seq,
    },
    /// An instance reports what it runs.
    CheckIn {
        /// The instance.
        instance: Arc<str>,
        /// What it runs.
        version: Seq,
    },
    /// An import met something that is not a new flow.
    ImportNote {
        /// What it met.
        text: Arc<str>,
    },
    /// Undo stops here.
    Freeze,
    /// Everything before and up to a version was pruned; of that version the flow is kept.
    Pruned {
        /// The oldest version that is kept.
        oldest: Seq,
        /// The hash chain there: that of everything that was pruned.
        chain: Chain,
    },
    /// A secret was shredded: nobody can read it any more.
    Shredded {
        /// The name of its sealed file.
        secret: [u8; 16],
    },
    /// The history goes on where another one, that was damaged, can be trusted no further. Everything up to that version
    /// is read from there.
    Succeeded {
        /// The history that was damaged.
        predecessor: HistoryId,
        /// Where its files were.
        place: Arc<str>,
        /// The newest of its versions that can be trusted.
        version: Seq,
        /// The hash chain there.
        chain: Chain,
    },
    /// Something that only the host understands.
    Custom {
        /// What the host calls it.
        name: Arc<str>,
        /// What it holds.
        data: Arc<[u8]>,
    },
}

impl Mark {
    /// The name by which the output knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Mark::Opened { .. } => "opened",
            Mark::Deploy => "deploy",
            Mark::Running { .. } => "running",
            Mark::Restart => "restart",
            Mark::Label { .. } => "label",
            Mark::Unlabel { .. } => "unlabel",
            Mark::Pin { .. } => "pin",
            Mark::Unpin { .. } => "unpin",
            Mark::CheckIn { .. } => "check-in",
            Mark::ImportNote { .. } => "import-note",
            Mark::Freeze => "freeze",
            Mark::Pruned { .. } => "pruned",
            Mark::Shredded { .. } => "shredded",
            Mark::Succeeded { .. } => "succeeded",
            Mark::Custom { name, .. } => name,
        }
    }
}
