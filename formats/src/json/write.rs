//! Values to text, as `JSON.stringify` writes it.

use std::fmt::Write as _;

use flow_history_flow::{Name, Value};

use super::{in_javascript_order, number};

/// Spaces per level of the indented form.
const INDENT: usize = 4;

/// Writes JSON, compact or indented.
pub(crate) struct Writer {
    text: String,
    indented: bool,
    depth: usize,
    /// Whether nothing has been written since the last bracket opened.
    empty: bool,
}

/// A value that JSON has no way to write.
pub(crate) enum Unwritable {
    /// A reference to a secret.
    Secret,
    /// Bytes that are no text.
    Bytes,
}

impl Writer {
    pub(crate) fn new(indented: bool) -> Self {
        Self { text: String::new(), indented, depth: 0, empty: true }
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// Opens a list or a map.
    pub(crate) fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth += 1;
        self.empty = true;
    }

    /// Closes it.
    pub(crate) fn close(&mut self, bracket: char) {
        self.depth = self.depth.saturating_sub(1);
        if !self.empty {
            self.line();
        }
        self.text.push(bracket);
        self.empty = false;
    }

    /// Begins a member of a list.
    pub(crate) fn member(&mut self) {
        if !self.empty {
            self.text.push(',');
        }
        self.line();
        self.empty = false;
    }

    /// Begins a member of a map.
    pub(crate) fn key(&mut self, key: &[u8]) {
        self.member();
        self.wtf8(key);
        self.text.push_str(if self.indented { ": " } else { ":" });
    }

    /// Writes what needs no escape.
    pub(crate) fn literal(&mut self, literal: &str) {
        self.text.push_str(literal);
    }

    /// Writes a string.
    pub(crate) fn string(&mut self, text: &str) {
        self.text.push('"');
        self.escape(text);
        self.text.push('"');
    }

    /// Writes a string of WTF-8; what is neither UTF-8 nor a surrogate becomes U+FFFD.
    pub(crate) fn wtf8(&mut self, bytes: &[u8]) {
        self.text.push('"');
        if !self.escape_wtf8(bytes) {
            self.escape("\u{FFFD}");
        }
        self.text.push('"');
    }

    /// Writes a value.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Unwritable> {
        match value {
            Value::Null => self.literal("null"),
            Value::Bool(value) => self.literal(if *value { "true" } else { "false" }),
            Value::Number(number) => self.literal(&number::to_lexeme(number)),
            Value::Text(text) => self.string(text),
            Value::Ref(id) => self.string(id),
            Value::Bytes(bytes) => {
                self.text.push('"');
                if !self.escape_wtf8(bytes) {
                    return Err(Unwritable::Bytes);
                }
                self.text.push('"');
            }
            Value::List(list) => {
                self.open('[');
                for value in list {
                    self.member();
                    self.value(value)?;
                }
                self.close(']');
            }
            Value::Map(map) => {
                let mut entries: Vec<(&Name, &Value)> = map.iter().collect();
                in_javascript_order(&mut entries, |(key, _)| key.as_bytes());
                self.open('{');
                for (key, value) in entries {
                    self.key(key.as_bytes());
                    self.value(value)?;
                }
                self.close('}');
            }
            // `Secret`, and whatever a later model adds that JSON does not have.
            _ => return Err(Unwritable::Secret),
        }
        Ok(())
    }

    fn line(&mut self) {
        if self.indented {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', INDENT * self.depth));
        }
    }

    fn escape(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            let (plain, special) = rest.split_at(at);
            self.text.push_str(plain);
            let mut chars = special.chars();
            match chars.next() {
                Some('\u{8}') => self.text.push_str("\\b"),
                Some('\t') => self.text.push_str("\\t"),
                Some('\n') => self.text.push_str("\\n"),
                Some('\u{c}') => self.text.push_str("\\f"),
                Some('\r') => self.text.push_str("\\r"),
                Some('"') => self.text.push_str("\\\""),
                Some('\\') => self.text.push_str("\\\\"),
                Some(control) => self.unicode_escape(u32::from(control)),
                None => {}
            }
            rest = chars.as_str();
        }
        self.text.push_str(rest);
    }

    /// Escapes WTF-8; false where it turns out to be something else.
    fn escape_wtf8(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            let valid = match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.escape(text);
                    return true;
                }
                Err(error) => error.valid_up_to(),
            };
            let (text, odd) = rest.split_at(valid);
            self.escape(std::str::from_utf8(text).unwrap_or_default());
            let (&[0xED, high @ 0xA0..=0xBF, low @ 0x80..=0xBF, ..], Some(after)) = (odd, odd.get(3..))
            else {
                return false;
            };
            self.unicode_escape(0xD000 | u32::from(high & 0x3F) << 6 | u32::from(low & 0x3F));
            rest = after;
        }
    }

    fn unicode_escape(&mut self, unit: u32) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::Writer;

    fn check(bytes: &[u8], expected: &str) {
        let mut writer = Writer::new(false);
        writer.wtf8(bytes);
        assert_eq!(writer.finish(), expected);
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        check(
            "a\"\\/\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}é\u{2028}😀".as_bytes(),
            concat!(r#""a\"\\/\b\t\n\f\r\u0000\u001f"#, "\u{7f}é\u{2028}😀\""),
        );
        check(b"x\xED\xA0\xBDy\xED\xBF\xBF", r#""x\ud83dy\udfff""#);
        check(b"\xED\xA0\xBD", r#""\ud83d""#);
    }
}
