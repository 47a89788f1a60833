//! What is printed: what it ran on, every figure, the checks, and last the table.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use super::honesty::{self, Checked};
use super::{Bench, Ending};
use crate::peers::{Outcome, broken};

impl Bench {
    pub(super) fn finish(
        &mut self,
        ending: Ending,
        json: Option<&Path>,
        checked: &[Checked],
        began: Instant,
    ) -> Outcome<()> {
        let results = self.results();
        let mut out = io::stdout().lock();
        let mut say = |text: &str| writeln!(out, "{text}").map_err(broken);
        let reduced = if self.effort.quick { ", reduced (--quick)" } else { "" };
        say(&format!(
            "## {}{reduced}: {} versions, in {:.0} s\n",
            results.workload,
            self.workload.versions(self.effort.quick),
            began.elapsed().as_secs_f64()
        ))?;
        self.notes.iter().try_for_each(|note| say(&format!("- {note}")))?;
        for peer in &self.peers {
            say(&format!("- {}: {}. Gives: {}.", peer.name(), peer.about(), peer.gives()))?;
        }
        if ending == Ending::Stopped {
            say("- **Stopped by Ctrl-C: what follows is what was measured until then.**")?;
        }
        say(
            "\nx ours and x floor are the figure divided by ours and by the floor of the same rounds: 256 bytes written and \
             synced for what appends, 16 KiB read from the cache of the system for what reads. A figure of a peer is on as \
             many versions as it could load in the time, where that is said.\n",
        )?;
        let adapter = |at: usize, row: &str| self.peers.get(at).and_then(|peer| peer.adapter(row));
        say(&results.long_table(adapter))?;
        if !checked.is_empty() {
            say(&honesty::table(&results.systems, checked))?;
        }
        match (json, ending) {
            (Some(path), Ending::Stopped) => {
                say(&format!("Nothing was written to {}: the run was stopped.\n", path.display()))?;
            }
            (Some(path), _) => results.write_json(path).map_err(broken)?,
            (None, _) => {}
        }
        say(&results.short_table())
    }
}
