//! A number that remembers how it was written.

use std::fmt;
use std::sync::Arc;

/// A number with its lexeme, by the grammar of JSON: `8`, `-0.5`, `1e400` or twenty digits, none of which is rounded.
///
/// Two numbers are equal when they are written alike: `1.0` is not `1`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(Repr);

/// INVARIANT: a lexeme that `i64` prints the same way is held as `Integer`, so that equality is equality of lexemes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Integer(i64),
    Lexeme(Arc<str>),
}

impl Number {
    /// Reads a lexeme; `None` where it is not a number of JSON.
    #[must_use]
    pub fn parse(lexeme: &str) -> Option<Self> {
        if !is_json_number(lexeme) {
            return None;
        }
        match lexeme.parse::<i64>() {
            Ok(integer) if integer.to_string() == lexeme => Some(Self(Repr::Integer(integer))),
            _ => Some(Self(Repr::Lexeme(lexeme.into()))),
        }
    }

    /// The shortest lexeme of a finite double; `None` for an infinity or NaN, which JSON has no way to write.
    #[must_use]
    pub fn from_f64(number: f64) -> Option<Self> {
        if number.is_finite() { Self::parse(&number.to_string()) } else { None }
    }

    /// The number as an integer, where its lexeme is one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Integer(integer) => Some(*integer),
            Repr::Lexeme(_) => None,
        }
    }

    /// The nearest double.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        match &self.0 {
            #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
            Repr::Integer(integer) => *integer as f64,
            Repr::Lexeme(lexeme) => lexeme.parse().unwrap_or(f64::NAN),
        }
    }

    /// The lexeme, where it is not that of a 64-bit integer.
    #[must_use]
    pub fn as_lexeme(&self) -> Option<&str> {
        match &self.0 {
            Repr::Integer(_) => None,
            Repr::Lexeme(lexeme) => Some(lexeme),
        }
    }
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn is_json_number(lexeme: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = lexeme.strip_prefix('-').unwrap_or(lexeme);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    rest = rest.split_at(whole).1;
    if let Some(fraction) = rest.strip_prefix('.') {
        let places = digits(fraction);
        if places == 0 {
            return false;
        }
        rest = fraction.split_at(places).1;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let places = digits(exponent);
        if places == 0 {
            return false;
        }
        rest = exponent.split_at(places).1;
    }
    rest.is_empty()
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Integer(integer) => integer.fmt(f),
            Repr::Lexeme(lexeme) => f.write_str(lexeme),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<i64> for Number {
    fn from(integer: i64) -> Self {
        Self(Repr::Integer(integer))
    }
}

impl From<u64> for Number {
    fn from(integer: u64) -> Self {
        match i64::try_from(integer) {
            Ok(integer) => Self(Repr::Integer(integer)),
            Err(_) => Self(Repr::Lexeme(integer.to_string().into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn keeps_every_lexeme_of_json_and_refuses_the_rest() {
        for lexeme in ["0", "-0", "1.0", "1e3", "1E+3", "-12.50e-7", "9223372036854775808", "1e400"] {
            assert_eq!(Number::parse(lexeme).map(|n| n.to_string()).as_deref(), Some(lexeme));
        }
        for text in ["", "-", "01", "+1", "1.", ".5", "1e", "0x1", "NaN", "1 ", "١"] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn is_equal_where_the_lexemes_are() {
        assert_eq!(Number::parse("80"), Some(Number::from(80_i64)));
        assert_ne!(Number::parse("-0"), Some(Number::from(0_i64)));
        assert_ne!(Number::parse("1.0"), Number::parse("1"));
        assert_eq!(Number::from(u64::MAX), Number::parse("18446744073709551615").unwrap());
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_f64(2.5), Number::parse("2.5"));
    }
}
