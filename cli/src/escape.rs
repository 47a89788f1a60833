//! Data that cannot steer a terminal.
//!
//! Ids, messages and values come from people and documents. Printed as they are, they could move the cursor, change the
//! title, or hide what follows; so every control character is written as an escape.

use std::borrow::Cow;

/// Whether a character would be obeyed rather than shown: controls, the ends of lines of Unicode, and the marks that turn
/// the direction of writing.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with every control character escaped.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_control(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// JSON that says the same without DEL and the control characters from U+0080, which JSON leaves as they are.
pub(crate) fn escape_json(json: String) -> String {
    let steers = |character: char| matches!(character, '\u{7f}'..='\u{9f}');
    if !json.contains(steers) {
        return json;
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        match steers(character) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => shown.push(character),
        }
    }
    shown
}

/// The first line of a text, escaped; an ellipsis stands for the others.
pub(crate) fn first_line(text: &str) -> String {
    let mut lines = text.trim().lines();
    let first = escape(lines.next().unwrap_or_default()).into_owned();
    if lines.next().is_some() { first + " ..." } else { first }
}

/// An argument as a shell takes it.
pub(crate) fn for_shell(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@+:=,".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", escape(argument).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_json, first_line, for_shell};

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        assert_eq!(escape("\u{1b}]0;owned\u{7}"), r"\u{1b}]0;owned\u{7}");
        assert_eq!(escape("a\u{9b}2J\r\n\u{202e}b"), r"a\u{9b}2J\r\n\u{202e}b");
        assert_eq!(escape("grüße ✓"), "grüße ✓");
        assert_eq!(escape_json("\"\u{9b}2J\u{7f}\"".to_owned()), r#""\u009b2J\u007f""#);
    }

    #[test]
    fn a_message_takes_one_line() {
        assert_eq!(first_line("Tidy up\n\nand more"), "Tidy up ...");
        assert_eq!(first_line(" Tidy up\n"), "Tidy up");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        assert_eq!(for_shell("/tmp/a-b_1"), "/tmp/a-b_1");
        assert_eq!(for_shell("it's here"), r"'it'\''s here'");
    }
}
