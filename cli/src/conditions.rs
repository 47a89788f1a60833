//! The conditions on which `log` lists a version: who, why, about what, when.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use flow_history::{At, Entries, History, Intent, OperationKind};

use crate::failure::Failure;
use crate::{nearest, selector};

const INTENTS: [Intent; 10] = [
    Intent::Edit,
    Intent::Undo,
    Intent::Redo,
    Intent::Revert,
    Intent::Restore,
    Intent::Import,
    Intent::Merge,
    Intent::Reconcile,
    Intent::System,
    Intent::Mark,
];

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A component came
    Add,
    /// A component went
    Remove,
    /// A field changed
    Set,
    /// A component stands elsewhere
    Move,
}

/// All of them hold for every version that is listed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which versions")]
pub(crate) struct Conditions {
    /// Of the author with this id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    author: Option<String>,
    /// With this intent
    #[arg(long, value_name = "NAME", value_parser = intents())]
    intent: Option<Intent>,
    /// That touched this component
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    component: Option<String>,
    /// That touched this component or what was inside it then
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subtree: Option<String>,
    /// That set this field, of the component asked for or of any
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    field: Option<String>,
    /// With an operation of this kind
    #[arg(long, value_name = "KIND", value_enum)]
    kind: Option<Kind>,
    /// Whose message holds these words, in capitals or not
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    text: Option<String>,
    /// Not earlier than this; a day means its beginning
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Not later than this; a day means its end
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

fn intents() -> impl TypedValueParser<Value = Intent> {
    let parser = PossibleValuesParser::new(INTENTS.map(Intent::name));
    parser.try_map(|name| INTENTS.into_iter().find(|intent| intent.name() == name).ok_or("it is no intent"))
}

impl Kind {
    fn asked(self) -> OperationKind {
        match self {
            Kind::Add => OperationKind::Add,
            Kind::Remove => OperationKind::Remove,
            Kind::Set => OperationKind::Set,
            Kind::Move => OperationKind::Move,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Conditions {
    /// Whether every version fits.
    pub(crate) fn is_empty(&self) -> bool {
        self.words().is_empty()
    }

    /// Asks a history for the entries that fit, oldest first.
    ///
    /// # Errors
    /// Where a time is none or lies before the first entry, or a component never was.
    pub(crate) fn ask(&self, history: &History) -> Result<Entries, Failure> {
        let mut entries = history.entries();
        if let Some(author) = &self.author {
            entries = entries.author(author);
        }
        if let Some(intent) = self.intent {
            entries = entries.intent(intent);
        }
        if let Some(id) = &self.component {
            nearest::last_change(history, id)?;
            entries = entries.component(id);
        }
        if let Some(id) = &self.subtree {
            nearest::last_change(history, id)?;
            entries = entries.subtree(id);
        }
        if let Some(field) = &self.field {
            entries = entries.field(field);
        }
        if let Some(kind) = self.kind {
            entries = entries.kind(kind.asked());
        }
        if let Some(text) = &self.text {
            entries = entries.text(text);
        }
        if let Some(since) = &self.since {
            entries = entries.since(selector::beginning(since)?);
        }
        if let Some(until) = &self.until {
            let until = selector::end(until)?;
            history.find(At::Time(until))?;
            entries = entries.until(until);
        }
        Ok(entries)
    }

    /// The same conditions again, for a command that can be typed next.
    pub(crate) fn words(&self) -> Vec<String> {
        let given = [
            ("--author", self.author.clone()),
            ("--intent", self.intent.map(|intent| intent.name().to_owned())),
            ("--component", self.component.clone()),
            ("--subtree", self.subtree.clone()),
            ("--field", self.field.clone()),
            ("--kind", self.kind.map(Kind::name)),
            ("--text", self.text.clone()),
            ("--since", self.since.clone()),
            ("--until", self.until.clone()),
        ];
        let given = given.into_iter().filter_map(|(option, value)| Some([option.to_owned(), value?]));
        given.flatten().collect()
    }
}
