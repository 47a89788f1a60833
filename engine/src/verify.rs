//! Reading everything, and saying what was found.

use flow_history_flow::StateHash;
use flow_history_replay::{Chain, FileName, FlowVersionId, HistoryId, Replay, Seq, Tail};

use crate::Error;
use crate::catalog::Watermark;
use crate::files::Files;
use crate::recovery;
use crate::vault::{Named, Soundness, Vault};

/// What a full reading found sound.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The history.
    pub history: HistoryId,
    /// Entries read, each checked by checksum, chain and encoding and folded into the flow.
    pub entries: u64,
    /// Segments read.
    pub segments: usize,
    /// Bytes of these.
    pub log_bytes: u64,
    /// Checkpoints read that agree with the log.
    pub checkpoints: usize,
    /// The newest version.
    pub head: FlowVersionId,
    /// The hash chain there, to keep elsewhere and compare with.
    pub chain: Chain,
    /// The hash of the flow there.
    pub state_hash: StateHash,
    /// Secrets that entries name and that are there, whole.
    pub secrets: usize,
    /// Of these, how many were opened; none where there is no key at hand.
    pub secrets_opened: usize,
    /// Secrets that were shredded.
    pub shredded: usize,
    /// How the log ends.
    pub tail: Tail,
    /// What costs time or is untidy, and nothing else.
    pub warnings: Vec<String>,
}

pub(crate) fn verify(files: &Files, vault: &Vault) -> Result<Verified, Error> {
    read_all(files, vault).map(|(verified, _)| verified)
}

/// As [`verify`], with the secrets that entries name.
pub(crate) fn read_all(files: &Files, vault: &Vault) -> Result<(Verified, Named), Error> {
    // What is kept was sound when it was read; the question is what the files are now.
    files.forget_all();
    // ORDER: what is derived from the log is read before it, so that a writer who goes on meanwhile only makes the log
    // longer.
    let derived = Watermark::read(&files.storage);
    let mut warnings = Vec::new();
    let mut checkpoints = files
        .checkpoints()
        .map_err(|source| Error::io("list", files.place.clone(), 0, source))?
        .into_iter()
        .peekable();
    let log = files.log()?;
    // Older ones than the log begins with hold pages that later ones share, and nothing else.
    while checkpoints.next_if(|seq| *seq < log.oldest()).is_some() {}
    let mut agreeing = 0;
    let mut named = Named::default();
    let start = log.start().map_err(|error| files.log_error(error))?;
    named.add_flow(&start.flow, start.seq);
    let mut replay = Replay::from_state(&log, start);
    loop {
        while let Some(seq) = checkpoints.next_if(|seq| *seq <= replay.state().seq) {
            let state = replay.state();
            let same = files.load_checkpoint(&log, seq).is_some_and(|kept| {
                kept.seq == state.seq && kept.chain == state.chain && kept.flow == state.flow
            });
            if same {
                agreeing += 1;
            } else {
                let file = FileName::Checkpoint(seq.0);
                warnings.push(format!("{file} is not what the log says; it is passed over, delete it"));
            }
        }
        let Some(entry) = files.next_entry(&mut replay)? else { break };
        named.add_entry(&entry.body, entry.seq);
    }
    // Segments may have been sealed meanwhile.
    let log = replay.log();
    let state = replay.state();
    let tail = replay.ending().map_or(Tail::Open, |ending| ending.tail);
    for seq in checkpoints {
        // One that is whole and ahead of the log says that the log lost entries; anything else is passed over.
        if files.is_ahead(log, seq) {
            let file = FileName::Checkpoint(seq.0).to_string();
            let what = flow_history_replay::What::LogIsShorter;
            return Err(files.log_error(flow_history_replay::LogError::damaged(&file, 0, Some(seq), what)));
        }
        warnings
            .push(format!("{} cannot be read; it is passed over, delete it", FileName::Checkpoint(seq.0)));
    }
    if let Some(seq) = derived.of(state.history.0)
        && seq > state.seq
    {
        let file = FileName::Catalog.to_string();
        let what = flow_history_replay::What::LogIsShorter;
        return Err(files.log_error(flow_history_replay::LogError::damaged(&file, 0, Some(seq), what)));
    }
    let (mut secrets, mut opened) = (0, 0);
    let gone = |id: &[u8; 16]| state.marks.shredded.contains_key(id);
    for (id, (secret, by)) in named.0.iter().filter(|(id, _)| !gone(id)) {
        match vault.check(files, secret, *by) {
            Ok(Soundness::Opened) => opened += 1,
            Ok(Soundness::Unopened) => {}
            Ok(Soundness::NoKey(why)) => {
                warnings.push(format!("{} was not opened: {why}", FileName::Secret(*id)));
            }
            Err(error @ Error::Damaged { .. }) => {
                // It may have been shredded, or pruned, since the end of the log was read.
                let end = recovery::read_end(files, None)?;
                if !end.state.marks.shredded.contains_key(id) && end.log.oldest() == log.oldest() {
                    return Err(error);
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        secrets += 1;
    }
    for name in files.storage.list().unwrap_or_default() {
        match FileName::parse(&name) {
            Some(FileName::Secret(id)) if gone(&id) => {
                warnings.push(format!("{name} was shredded and is still there; the next writer removes it"));
            }
            Some(FileName::Secret(id)) if named.lacks(&id) => {
                warnings.push(format!("{name} is named by no entry"));
            }
            None => warnings.push(format!("{name} is none of the history's files")),
            Some(FileName::Temporary) => warnings.push(format!("{name} was left half made")),
            Some(_) => {}
        }
    }
    if let Tail::Torn { bytes } = tail {
        warnings.push(format!(
            "the last segment ends in {bytes} bytes that are no frame: a write that a crash cut short, or one that is \
             under way"
        ));
    }
    let verified = Verified {
        secrets,
        secrets_opened: opened,
        shredded: state.marks.shredded.len(),
        history: state.history,
        entries: state.seq.0 - log.oldest().0,
        segments: log.segments().len(),
        log_bytes: log.segments().iter().map(|segment| segment.bytes).sum(),
        checkpoints: agreeing,
        head: state.version(),
        chain: state.chain,
        state_hash: state.flow.state_hash(),
        tail,
        warnings,
    };
    Ok((verified, named))
}

impl Verified {
    /// The newest version's number.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.head.seq()
    }
}
