//! Lexemes as JavaScript prints them.

use flow_history_flow::{Number, Value};

/// Up to here every integer is a double, and JavaScript prints it as it stands.
const SAFE_INTEGER_MAX: u64 = 1 << 53;

/// What JavaScript makes of a lexeme: a number with the lexeme that it would print, or null where the double is infinite.
pub(crate) fn from_lexeme(lexeme: &str) -> Value {
    if let Ok(integer) = lexeme.parse::<i64>()
        && is_safe(integer)
    {
        // `-0` too: JavaScript prints it without its sign.
        return Value::Number(integer.into());
    }
    lexeme.parse().map_or(Value::Null, from_double)
}

/// The lexeme that JavaScript would print for a number, or `null`.
pub(crate) fn to_lexeme(number: &Number) -> String {
    match number.as_i64() {
        Some(integer) if is_safe(integer) => integer.to_string(),
        _ => match from_double(number.as_f64()) {
            Value::Number(number) => number.to_string(),
            _ => "null".to_owned(),
        },
    }
}

fn from_double(double: f64) -> Value {
    if !double.is_finite() {
        return Value::Null;
    }
    let mut buffer = ryu_js::Buffer::new();
    Number::parse(buffer.format_finite(double)).map_or(Value::Null, Value::Number)
}

fn is_safe(integer: i64) -> bool {
    integer.unsigned_abs() <= SAFE_INTEGER_MAX
}

#[cfg(test)]
mod tests {
    use flow_history_flow::Number;

    use super::{from_lexeme, to_lexeme};

    /// What `JSON.stringify(JSON.parse(lexeme))` gives in Node.js 20.
    const PRINTED: [(&str, &str); 21] = [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1E+2", "100"),
        ("-12.50", "-12.5"),
        ("9007199254740992", "9007199254740992"),
        ("9007199254740993", "9007199254740992"),
        ("-9007199254740993", "-9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
        ("100000000000000000000", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("5e-324", "5e-324"),
        ("1e-400", "0"),
        ("1e400", "null"),
        ("-1e400", "null"),
        ("0.1000000000000000055511151231257827", "0.1"),
    ];

    #[test]
    fn numbers_are_printed_as_javascript_prints_them() {
        for (lexeme, printed) in PRINTED {
            assert_eq!(format!("{:?}", from_lexeme(lexeme)), printed, "{lexeme}");
            assert_eq!(to_lexeme(&Number::parse(lexeme).unwrap()), printed, "{lexeme}");
        }
    }
}
