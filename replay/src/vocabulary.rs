//! Names and authors that entries share.
//!
//! The first entry to use a kind, a field name or an author spells it out; later ones name it by number. The numbers
//! follow from the log alone. A history that uses more than [`VOCABULARY_MAX`] of them spells the rest out each time, so
//! that nobody can make the table grow without end.

use std::collections::HashMap;
use std::sync::Arc;

use flow_history_flow::{Component, Guesses, Name};

use crate::{Author, VOCABULARY_MAX, VOCABULARY_NAME_BYTES_MAX};

/// How many authors are compared one by one before the table is asked.
const FEW_AUTHORS: usize = 8;

/// The numbered names and authors of a history up to a version.
#[derive(Clone, Default, Debug)]
pub struct Vocabulary {
    names: Table<Name>,
    authors: Table<Arc<Author>>,
    guesses: Guesses<u32>,
}

#[derive(Clone, Debug)]
struct Table<T> {
    items: Vec<T>,
    numbers: HashMap<T, u32, foldhash::fast::RandomState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: HashMap::default() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Table<T> {
    fn add(&mut self, item: T) -> Option<u32> {
        let number = u32::try_from(self.items.len()).ok().filter(|_| self.items.len() < VOCABULARY_MAX)?;
        self.items.push(item.clone());
        self.numbers.insert(item, number);
        Some(number)
    }

    fn truncate(&mut self, len: usize) {
        for item in self.items.drain(len.min(self.items.len())..) {
            self.numbers.remove(&item);
        }
    }
}

impl Vocabulary {
    /// The number of a name, which is added where there is room; `None` where it is to be spelt out.
    pub(crate) fn number_of_name(&mut self, name: &Name) -> Option<u32> {
        let guess = self.guesses.near(name);
        if self.names.items.get(*guess as usize) == Some(name) {
            return Some(*guess);
        }
        if let Some(number) = self.names.numbers.get(name) {
            *guess = *number;
            return Some(*number);
        }
        if name.len() > VOCABULARY_NAME_BYTES_MAX { None } else { self.names.add(name.clone()) }
    }

    /// The number of a name that has one.
    pub(crate) fn known_number_of(&self, name: &Name) -> Option<u32> {
        self.names.numbers.get(name).copied()
    }

    /// The number of an author, who is added where there is room; `None` where they are to be spelt out.
    pub(crate) fn number_of_author(&mut self, author: &Arc<Author>) -> Option<u32> {
        // A history has few authors at a time, and the same text is mostly the same pointer: looking at the first few
        // costs less than hashing three texts.
        let few = self.authors.items.iter().take(FEW_AUTHORS);
        if let Some(number) = few.zip(0..).find(|(known, _)| ***known == **author).map(|(_, number)| number) {
            return Some(number);
        }
        if let Some(number) = self.authors.numbers.get(author) {
            return Some(*number);
        }
        let bytes = [Some(&author.id), Some(&author.name), author.on_behalf_of.as_ref()];
        let bytes: usize = bytes.into_iter().flatten().map(|text| text.len()).sum();
        if bytes > VOCABULARY_NAME_BYTES_MAX { None } else { self.authors.add(Arc::clone(author)) }
    }

    /// Puts the texts of names that are known in the place of the same ones held apart, where they do not lie in place: ten
    /// thousand components of a kind then hold its long field names once.
    pub fn share_names(&self, component: &mut Component) {
        component.rename_alike(|name| self.names.numbers.get_key_value(name).map(|(known, _)| known));
    }

    pub(crate) fn name(&self, number: u32) -> Option<&Name> {
        self.names.items.get(number as usize)
    }

    pub(crate) fn author(&self, number: u32) -> Option<&Arc<Author>> {
        self.authors.items.get(number as usize)
    }

    /// How many names and authors there are.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.names.items.len(), self.authors.items.len())
    }

    pub(crate) fn names_from(&self, from: usize) -> &[Name] {
        self.names.items.get(from..).unwrap_or_default()
    }

    pub(crate) fn authors_from(&self, from: usize) -> &[Arc<Author>] {
        self.authors.items.get(from..).unwrap_or_default()
    }

    /// Forgets what was added since.
    pub(crate) fn truncate(&mut self, (names, authors): (usize, usize)) {
        self.names.truncate(names);
        self.authors.truncate(authors);
    }

    pub(crate) fn restore(&mut self, names: Vec<Name>, authors: Vec<Arc<Author>>) {
        *self = Self::default();
        names.into_iter().for_each(|name| _ = self.names.add(name));
        authors.into_iter().for_each(|author| _ = self.authors.add(author));
    }
}

#[cfg(test)]
mod tests {
    use flow_history_flow::Name;

    use super::Vocabulary;

    /// The reference is the order in which names came. More of them than guesses, asked for in turns and taken back.
    #[test]
    fn a_name_has_the_number_of_its_place_whatever_was_guessed() {
        let (mut vocabulary, mut names) = (Vocabulary::default(), Vec::<Name>::new());
        let mut random = 5_usize;
        for round in 0..5_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = Name::from(format!("name-{}", (random >> 33) % 300));
            let place = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            });
            assert_eq!(vocabulary.number_of_name(&name), u32::try_from(place).ok());
            if round % 97 == 0 {
                names.truncate(names.len() / 2);
                vocabulary.truncate((names.len(), 0));
            }
        }
    }
}
