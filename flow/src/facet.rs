//! Which fields are configuration, layout, runtime and so on.

use crate::{Flow, ROOT_ID, Value};

/// What a field is about. Facets drive hashes, differences, quiet timelines and undo by aspect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Facet {
    /// What the flow does. The facet of every field that the table does not name.
    Config,
    /// Where things are drawn.
    Layout,
    /// Started, stopped, enabled: what comes and goes while the flow runs.
    Runtime,
    /// A reference to a secret.
    Secret,
    /// Who may do what.
    Policy,
    /// What is expected to differ from one environment to the next.
    Environment,
}

impl Facet {
    /// The name by which the table and the output know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Facet::Config => "config",
            Facet::Layout => "layout",
            Facet::Runtime => "runtime",
            Facet::Secret => "secret",
            Facet::Policy => "policy",
            Facet::Environment => "environment",
        }
    }

    /// The facet of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        use Facet::{Config, Environment, Layout, Policy, Runtime, Secret};
        [Config, Layout, Runtime, Secret, Policy, Environment].into_iter().find(|facet| facet.name() == name)
    }
}

/// The facet of each (kind, field), as a flow says it: a host edits the table like anything else, by setting the field
/// `facets` of the root component, and each version has its own.
///
/// The field holds a map. Its keys are `kind/field`, or `*/field` for every kind; its values are names of facets.
#[derive(Clone, Default, Debug)]
pub struct FacetTable {
    exact: std::collections::HashMap<String, Facet>,
}

impl FacetTable {
    /// The name of the root component's field that holds the table.
    pub const FIELD: &str = "facets";

    /// The table of a flow; empty where it has none. Entries that name no facet are passed over.
    #[must_use]
    pub fn of(flow: &Flow) -> Self {
        let Some(Value::Map(map)) = flow.component(ROOT_ID).and_then(|root| root.get(Self::FIELD)) else {
            return Self::default();
        };
        let facet = |value: &Value| Facet::from_name(value.as_text()?);
        Self { exact: map.iter().filter_map(|(key, value)| Some((key.to_string(), facet(value)?))).collect() }
    }

    /// The facet of a field of a component of this kind.
    #[must_use]
    pub fn facet(&self, kind: &str, field: &str) -> Facet {
        if self.exact.is_empty() {
            return Facet::Config;
        }
        let named = |kind: &str| self.exact.get(&format!("{kind}/{field}")).copied();
        named(kind).or_else(|| named("*")).unwrap_or(Facet::Config)
    }
}
