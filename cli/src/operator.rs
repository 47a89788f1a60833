//! Who works at this command line.

use clap::Args;
use flow_history::Author;

/// The option `--as` of every command that writes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Operator {
    /// Who does it; the login name where nothing is said
    #[arg(long = "as", value_name = "NAME")]
    acting_as: Option<String>,
}

impl Operator {
    pub(crate) fn author(&self) -> Author {
        Author::operator(&self.acting_as.clone().unwrap_or_else(login_name))
    }
}

/// The name under which the person logged in.
pub(crate) fn login_name() -> String {
    let told = ["LOGNAME", "USER", "USERNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    told.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned())
}
