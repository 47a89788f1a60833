//! Make everything, or a part, as it was.

use std::path::PathBuf;

use clap::Args;
use flow_history::{ComponentId, Facet, Part, Proposal};

use super::applied::command_line;
use super::undo::take;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::scope::Taking;
use crate::selector;

/// Make the flow, or a part of it, as it was at a version, as a new version
///
/// The versions in between stay, and can be restored just so.
///
/// With --json: one line of type `applied`, or with --plan as `undo`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history restore ./history released
  flow-history restore ./history @-3 --as alice
  flow-history restore ./history 42 --component pump-1 --field rate
  flow-history restore ./history released --facet layout --plan")]
pub(crate) struct Restore {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Which version
    #[arg(value_name = "VERSION")]
    version: String,
    /// Only this component, everything inside it and its wires
    #[arg(long, value_name = "ID", conflicts_with_all = ["component", "facet"])]
    subtree: Option<String>,
    /// Only this component
    #[arg(long, value_name = "ID", conflicts_with = "facet")]
    component: Option<String>,
    /// Only these fields of the component
    #[arg(long, value_name = "FIELD", requires = "component")]
    field: Vec<String>,
    /// Only the fields of this facet: config, layout, runtime, secret, policy, environment
    #[arg(long, value_name = "FACET", value_parser = facet)]
    facet: Option<Facet>,
    #[command(flatten)]
    taking: Taking,
}

fn facet(text: &str) -> Result<Facet, String> {
    Facet::from_name(text)
        .ok_or_else(|| "it is config, layout, runtime, secret, policy or environment".into())
}

impl Restore {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let part = match (&self.subtree, &self.component, self.facet) {
            (Some(id), _, _) => Part::Subtree(id.into()),
            (_, Some(id), _) if self.field.is_empty() => Part::Component(id.into()),
            (_, Some(id), _) => {
                let fields = self.field.iter().map(|field| field.as_str().into()).collect();
                Part::Fields(ComponentId::from(id), fields)
            }
            (_, _, Some(facet)) => Part::Facet(facet),
            _ => Part::Flow,
        };
        let back = command_line("undo", &self.dir, &[]);
        take(
            "restore",
            &self.dir,
            &self.taking,
            &back,
            |history| Ok(Proposal::restore(part.clone(), selector::find(history, &self.version)?)),
            out,
        )
    }
}
