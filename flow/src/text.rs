//! The text of a value, an id or a name.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use smol_str::SmolStr;

/// A text. Up to 23 bytes lie in the value itself; a longer one is shared, so that cloning either copies 24 bytes at most.
///
/// Fields are many and their texts short, and so are most ids and names: with each of them behind a pointer, putting a flow
/// together spent a third of its time asking for memory and giving it back, and looking for a component read one place more.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(SmolStr);

impl Text {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it lies elsewhere, where others may share it.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_heap_allocated()
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(SmolStr::new(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Text;
    use crate::Value;

    #[test]
    fn a_text_is_the_same_whichever_way_it_is_held() {
        for length in [0, 1, 22, 23, 24, 25, 300] {
            let text = "ä1".repeat(length)[..length / 3 * 3].to_owned() + &"x".repeat(length % 3);
            let ways: [Text; 3] =
                [text.as_str().into(), text.clone().into(), Arc::<str>::from(&*text).into()];
            for one in &ways {
                assert_eq!((one.as_str(), one.to_string()), (&*text, text.clone()));
                assert!(ways.iter().all(|other| other == one));
            }
        }
        assert!(size_of::<Value>() <= 40, "a value takes {} bytes", size_of::<Value>());
    }
}
