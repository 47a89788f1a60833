//! `w1k`, `w10k`, `w100k`: changes spread evenly over the components.

use flow_history::{Component, Operation};

use crate::{Random, Step};

/// Components added by one step of the setup.
const SETUP_CHUNK: usize = 1_000;
/// Fields of a component.
const FIELDS: usize = 8;

/// A stream of changes spread evenly: components with 8 text fields, then 85 % one-field Sets on a random live component,
/// 7.5 % Adds and 7.5 % Removes, by five authors, up to a minute apart.
pub struct Uniform {
    random: Random,
    field_names: Vec<String>,
    live: Vec<String>,
    components: usize,
    changes_left: u64,
}

impl Uniform {
    /// So many components, then so many changes.
    #[must_use]
    pub fn new(components: usize, changes: u64) -> Self {
        let mut random = Random::seeded(0x666c_6f77 + components as u64);
        let field_names = (0..FIELDS).map(|_| random.text()).collect();
        Self { random, field_names, live: Vec::with_capacity(components), components, changes_left: changes }
    }

    /// 1,000 components and 100,000 changes.
    #[must_use]
    pub fn w1k() -> Self {
        Self::new(1_000, 100_000)
    }

    /// 10,000 components and 1,000,000 changes.
    #[must_use]
    pub fn w10k() -> Self {
        Self::new(10_000, 1_000_000)
    }

    /// 100,000 components and 10,000,000 changes.
    #[must_use]
    pub fn w100k() -> Self {
        Self::new(100_000, 10_000_000)
    }

    fn component(&mut self) -> Operation {
        let id = self.random.id();
        let mut component = Component::new(id.as_str(), "processor");
        for at in 0..self.field_names.len() {
            let value = self.random.text();
            component = component.field(self.field_names.get(at).cloned().unwrap_or_default(), value);
        }
        self.live.push(id);
        Operation::add(component)
    }

    fn change(&mut self) -> Operation {
        match self.random.below(1_000) {
            0..850 if !self.live.is_empty() => {
                let at = self.random.index(self.live.len());
                let field = self.random.index(self.field_names.len());
                let value = self.random.text();
                let id = self.live.get(at).cloned().unwrap_or_default();
                Operation::set(id, self.field_names.get(field).cloned().unwrap_or_default(), value)
            }
            850..925 if !self.live.is_empty() => {
                let at = self.random.index(self.live.len());
                Operation::remove(self.live.swap_remove(at))
            }
            _ => self.component(),
        }
    }
}

impl Iterator for Uniform {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let author = u8::try_from(self.random.below(5)).unwrap_or_default();
        let gap_millis = u32::try_from(self.random.below(60_001)).unwrap_or_default();
        if self.components > 0 {
            let count = self.components.min(SETUP_CHUNK);
            self.components -= count;
            let operations = (0..count).map(|_| self.component()).collect();
            return Some(Step { author, gap_millis, operations });
        }
        self.changes_left = self.changes_left.checked_sub(1)?;
        Some(Step { author, gap_millis, operations: vec![self.change()] })
    }
}

#[cfg(test)]
mod tests {
    use super::Uniform;
    use crate::stream_hash;

    /// Changing a stream changes every figure: it takes a new name, not a new hash.
    #[test]
    fn the_stream_is_the_one_that_figures_were_measured_on() {
        let hash = stream_hash(Uniform::new(1_000, 20_000));
        assert_eq!(hash, "9e99501438be4fe1df831c581ddea12741e777d3a19f724c7052911083a1d7c9");
    }
}
