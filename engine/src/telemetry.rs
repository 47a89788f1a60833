//! Spans and figures for the host's own tools, behind the features `tracing` and `metrics`. Without them nothing is left
//! of this at run time; [`History::stats`](crate::History::stats) is always there.

/// What takes time and is worth a span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// One group to the disk: a write and a sync.
    Sync,
    /// A checkpoint, with the catalog after it.
    Checkpoint,
    /// One segment sealed.
    Seal,
    /// Opening a history: finding where its log ends.
    Open,
    /// Putting a past version together.
    Reconstruct,
}

/// A phase under way, until this is dropped.
#[must_use]
pub(crate) struct Entered {
    #[cfg(feature = "tracing")]
    _span: tracing::span::EnteredSpan,
    #[cfg(feature = "metrics")]
    phase: Phase,
    #[cfg(feature = "metrics")]
    began: std::time::Instant,
}

pub(crate) fn enter(phase: Phase) -> Entered {
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    let _ = phase;
    Entered {
        #[cfg(feature = "tracing")]
        _span: match phase {
            Phase::Sync => tracing::debug_span!("sync"),
            Phase::Checkpoint => tracing::debug_span!("checkpoint"),
            Phase::Seal => tracing::debug_span!("seal"),
            Phase::Open => tracing::info_span!("open"),
            Phase::Reconstruct => tracing::debug_span!("reconstruct"),
        }
        .entered(),
        #[cfg(feature = "metrics")]
        phase,
        #[cfg(feature = "metrics")]
        began: std::time::Instant::now(),
    }
}

#[cfg(feature = "metrics")]
impl Drop for Entered {
    fn drop(&mut self) {
        let name = match self.phase {
            Phase::Sync => "flow_history_sync_seconds",
            Phase::Checkpoint => "flow_history_checkpoint_seconds",
            Phase::Seal => "flow_history_seal_seconds",
            Phase::Open => "flow_history_open_seconds",
            Phase::Reconstruct => "flow_history_reconstruct_seconds",
        };
        metrics::histogram!(name).record(self.began.elapsed().as_secs_f64());
    }
}

/// Notes that so many entries became durable, and how large the log is now.
pub(crate) fn appended(entries: u32, log_bytes: u64) {
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("flow_history_entries_total").increment(u64::from(entries));
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("flow_history_log_bytes").set(log_bytes as f64);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (entries, log_bytes);
}
