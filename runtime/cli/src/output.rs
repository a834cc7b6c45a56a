//! What commands print, all of it. Names, results and messages may be a stranger's: whatever a
//! terminal would act on, or show as another line, is printed as its code.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::commands::Failure;

/// Prints a line.
pub fn print_line(line: impl Display) {
    print(&escaped(&line.to_string()));
}

/// Prints a value as JSON, on a line.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(Failure::failed)?;
    print(&escaped_json(&text));
    Ok(())
}

/// Prints a line on stderr, beside what was asked for.
pub fn print_note(line: impl Display) {
    // Whoever does not read it does not miss it.
    let _ = writeln!(std::io::stderr(), "{}", escaped(&line.to_string()));
}

/// Ends the process when nobody reads what it prints: `comux watch | head` is no error.
fn print(line: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        if error.kind() != ErrorKind::BrokenPipe {
            tracing::error!(%error, "nothing can be written to standard output");
            std::process::exit(1);
        }
        std::process::exit(0);
    }
}

/// Text in which nothing is left that a terminal acts on: `\n`, `\r`, `\t`, and `\u{1b}` for
/// others.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |character, out| {
        let _ = write!(out, "{}", character.escape_default());
    })
}

/// The same for JSON, which says the same afterwards.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    escape(json, |character, out| {
        let _ = write!(out, "\\u{:04x}", u32::from(character));
    })
}

fn escape(text: &str, code: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_acted_on) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_acted_on(character) {
            true => code(character, &mut out),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Control characters, those that end a line, and those that change the direction of what follows:
/// text could be read as other text.
fn is_acted_on(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_acts_on() {
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        for shown in [escaped(&all), escaped_json(&all)] {
            assert!(!shown.contains(is_acted_on));
            assert!(!shown.bytes().any(|byte| byte < b' ' || byte == 0x7f));
        }
        assert_eq!(escaped("a\nb\u{1b}[2J\u{9b}é"), "a\\nb\\u{1b}[2J\\u{9b}é");
        assert!(matches!(escaped("Zoë 摄像机 🎥"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_says_the_same_afterwards() {
        let text = "a\n\u{7f}\u{9b}\u{202e}é";
        let json = serde_json::to_string(text).unwrap();
        let shown = escaped_json(&json);
        assert_eq!(shown, "\"a\\n\\u007f\\u009b\\u202eé\"");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }
}
