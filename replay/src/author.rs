//! Who did it.

use std::sync::Arc;

/// Who made an entry: the id under which permissions know them, and the name they had at the time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Author {
    /// The id under which the host knows them.
    pub id: Arc<str>,
    /// The name they had at the time.
    pub name: Arc<str>,
    /// What they are.
    pub kind: AuthorKind,
    /// The id of the principal for whom they acted.
    pub on_behalf_of: Option<Arc<str>>,
}

/// What an author is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum AuthorKind {
    /// A person, through the host.
    User,
    /// Another program, through the host.
    Service,
    /// The host itself, for nobody in particular.
    System,
    /// A person at the command line, without a host.
    Operator,
}

impl AuthorKind {
    /// The name by which the output knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AuthorKind::User => "user",
            AuthorKind::Service => "service",
            AuthorKind::System => "system",
            AuthorKind::Operator => "operator",
        }
    }
}

impl Author {
    fn of(kind: AuthorKind, id: &str) -> Self {
        Self { id: id.into(), name: id.into(), kind, on_behalf_of: None }
    }

    /// A person, named as their id is until [`Author::named`] says otherwise.
    #[must_use]
    pub fn user(id: &str) -> Self {
        Self::of(AuthorKind::User, id)
    }

    /// Another program.
    #[must_use]
    pub fn service(id: &str) -> Self {
        Self::of(AuthorKind::Service, id)
    }

    /// The host itself.
    #[must_use]
    pub fn system(id: &str) -> Self {
        Self::of(AuthorKind::System, id)
    }

    /// A person at the command line.
    #[must_use]
    pub fn operator(id: &str) -> Self {
        Self::of(AuthorKind::Operator, id)
    }

    /// The same with the name to show.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// The same acting for somebody else.
    #[must_use]
    pub fn on_behalf_of(mut self, principal: &str) -> Self {
        self.on_behalf_of = Some(principal.into());
        self
    }
}
