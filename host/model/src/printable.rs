//! Text that a terminal and a log file can show: nothing in it moves the cursor, changes colours or turns text around.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns a text in which each control character is written as `\\u001b`, except ends of lines and tabs. The notation is
/// that of JSON, so that JSON stays JSON.
///
/// Every exit to a terminal passes text through it: names, keys and messages come from servers, plugins and files.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

/// Returns a text as [`printable`] does, on one line. Every exit to a log passes each entry through it.
pub fn printable_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_hidden = |character: char| acts(character) && !kept(character);
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_hidden(character) {
            // All of these characters have four hexadecimal digits.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Returns true if a character acts on a terminal or on the order of the text around it, instead of being shown.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        for (text, shown, line) in [
            ("Nováková, 4 €\n", "Nováková, 4 €\n", "Nováková, 4 €\\u000a"),
            ("a\tb\r\n", "a\tb\\u000d\n", "a\\u0009b\\u000d\\u000a"),
            ("\u{1b}[2Jgone", "\\u001b[2Jgone", "\\u001b[2Jgone"),
            ("\u{9b}31m\u{7f}", "\\u009b31m\\u007f", "\\u009b31m\\u007f"),
            ("approve \u{202e}lla", "approve \\u202ella", "approve \\u202ella"),
            ("\u{2066}x\u{2069}\u{feff}", "\\u2066x\\u2069\\ufeff", "\\u2066x\\u2069\\ufeff"),
            ("\0\u{7}\u{8}", "\\u0000\\u0007\\u0008", "\\u0000\\u0007\\u0008"),
            ("", "", ""),
        ] {
            assert_eq!((&*printable(text), &*printable_line(text)), (shown, line), "{text:?}");
        }
        // A JSON document stays the same document.
        let document = serde_json::json!({"key": "\u{9b}\u{7f}\u{202e}"});
        let shown: serde_json::Value = serde_json::from_str(&printable(&document.to_string())).unwrap();
        assert_eq!(shown, document);
    }
}
