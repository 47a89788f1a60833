//! `= 80`, `< 9`, `absent`: what a field is asked about.

use std::cmp::Ordering;

use clap::ValueEnum;
use flow_history::{Number, Value};

use crate::failure::{Exit, Failure};
use crate::value::{Json, is_secret};

/// How a field is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Relation {
    /// It is this value
    #[value(name = "=")]
    Equal,
    /// It is there, and another value
    #[value(name = "!=")]
    NotEqual,
    /// It is less
    #[value(name = "<")]
    Less,
    /// It is less, or this value
    #[value(name = "<=")]
    AtMost,
    /// It is more
    #[value(name = ">")]
    More,
    /// It is more, or this value
    #[value(name = ">=")]
    AtLeast,
    /// There is no such field, or no such component
    Absent,
    /// It is there, whatever it holds
    Present,
}

/// A condition on a field.
pub(crate) struct Comparison {
    relation: Relation,
    wanted: Wanted,
}

/// A value as it was typed. What it is depends on what it is compared with: hosts write numbers as texts too.
#[derive(Default)]
struct Wanted {
    text: String,
    number: Option<Number>,
    json: Option<serde_json::Value>,
}

impl Wanted {
    fn read(typed: &str) -> Self {
        match serde_json::from_str(typed) {
            // In quotation marks it is a text and nothing else.
            Ok(serde_json::Value::String(text)) => Self { text, number: None, json: None },
            json => Self { text: typed.to_owned(), number: Number::parse(typed), json: json.ok() },
        }
    }

    /// How a value compares with it; `None` where neither is less and they are not equal.
    fn compared(&self, value: &Value) -> Option<Ordering> {
        let equal = |equal: bool| equal.then_some(Ordering::Equal);
        match value {
            Value::Number(number) => compared(number, self.number.as_ref()?),
            Value::Text(text) => match (Number::parse(text), &self.number) {
                (Some(number), Some(wanted)) => compared(&number, wanted),
                _ => Some((**text).cmp(self.text.as_str())),
            },
            Value::Ref(id) => equal(id.as_str() == self.text),
            other => {
                equal(serde_json::to_value(Json(other)).ok().is_some_and(|json| Some(json) == self.json))
            }
        }
    }
}

fn compared(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ if a == b => Some(Ordering::Equal),
        _ => a.as_f64().partial_cmp(&b.as_f64()),
    }
}

impl Comparison {
    /// Reads a condition.
    ///
    /// # Errors
    /// [`Exit::Usage`] where a value is missing or is one too many.
    pub(crate) fn read(relation: Relation, value: Option<&str>) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Err(Failure::new(Exit::Usage, what)
                .hint("for example `= 80`, `'<' 9`, `!= closed`, `absent`; a shell wants < and > in quotation marks"))
        };
        match (relation, value) {
            (Relation::Absent | Relation::Present, None) => Ok(Self { relation, wanted: Wanted::default() }),
            (Relation::Absent | Relation::Present, Some(_)) => wrong("`absent` and `present` take no value"),
            (_, None) => wrong("a value to compare with is missing"),
            (_, Some(value)) => Ok(Self { relation, wanted: Wanted::read(value) }),
        }
    }

    /// Whether it asks what a field holds, and not only whether it is there.
    pub(crate) fn looks_at_the_value(&self) -> bool {
        !matches!(self.relation, Relation::Absent | Relation::Present)
    }

    /// Whether it holds. Of a secret nobody learns more than that it is there.
    pub(crate) fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return self.relation == Relation::Absent };
        match self.relation {
            Relation::Absent => return false,
            Relation::Present => return true,
            _ if is_secret(value) => return false,
            _ => {}
        }
        let order = self.wanted.compared(value);
        match self.relation {
            Relation::Equal => order == Some(Ordering::Equal),
            Relation::NotEqual => order != Some(Ordering::Equal),
            Relation::Less => order == Some(Ordering::Less),
            Relation::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Relation::More => order == Some(Ordering::Greater),
            Relation::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Relation::Absent | Relation::Present => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use flow_history::{ComponentId, Number, Value};

    use super::{Comparison, Relation};

    fn check(value: impl Into<Value>, expected: &[(&str, &str, bool)]) {
        let value = value.into();
        for (relation, typed, holds) in expected {
            let relation = Relation::from_str(relation, false).unwrap();
            let comparison = Comparison::read(relation, Some(typed)).unwrap();
            assert_eq!(comparison.holds(Some(&value)), *holds, "{value:?} {relation:?} {typed}");
            assert!(!comparison.holds(None), "what is not there has no value");
        }
    }

    #[test]
    fn numbers_compare_as_numbers_however_they_are_written() {
        let of_80 = [
            ("=", "80", true),
            ("=", "80.0", true),
            ("!=", "8", true),
            ("<", "9", false),
            (">", "9", true),
            ("<=", "80", true),
            (">=", "8e1", true),
            ("=", "eighty", false),
            ("<", "eighty", false),
        ];
        check(80, &of_80);
        check(Number::parse("80.00").unwrap(), &of_80[..7]);
        check("80", &of_80[..7]);
        check(i64::MAX, &[("=", "9223372036854775806", false), (">", "9223372036854775806", true)]);
        check(-5, &[("<", "-4", true), ("=", "\"-5\"", false)]);
    }

    #[test]
    fn texts_references_and_the_rest() {
        check(
            "open",
            &[("=", "open", true), ("=", "\"open\"", true), ("<", "shut", true), ("!=", "shut", true)],
        );
        check("8", &[("=", "\"8\"", true), (">", "\"79\"", true), (">", "79", false)]);
        check(ComponentId::from("tank"), &[("=", "tank", true), ("<", "z", false), ("!=", "pump", true)]);
        check(true, &[("=", "true", true), ("=", "false", false), ("!=", "1", true)]);
        check(Value::Null, &[("=", "null", true), ("=", "\"null\"", false)]);
        check(vec!["a", "b"], &[("=", "[\"a\", \"b\"]", true), ("!=", "[\"b\"]", true), ("=", "a", false)]);
    }

    #[test]
    fn a_secret_is_there_and_nothing_more() {
        check("enc{0123}", &[("=", "enc{0123}", false), ("!=", "a", false), (">", "a", false)]);
        for (relation, there, missing) in [(Relation::Present, true, false), (Relation::Absent, false, true)]
        {
            let comparison = Comparison::read(relation, None).unwrap();
            assert_eq!(comparison.holds(Some(&"enc{0123}".into())), there);
            assert_eq!(comparison.holds(None), missing);
            assert!(Comparison::read(relation, Some("80")).is_err());
        }
        assert!(Comparison::read(Relation::Less, None).is_err());
    }
}
