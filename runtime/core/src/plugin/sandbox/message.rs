//! What plugins and wasmtime say, made fit to be repeated in a log or an answer.

use crate::policy::LOG_LINE_BYTES;

/// The beginning of what a plugin says, without what would make it look like several lines, or like
/// those of somebody else.
pub(crate) fn one_line(message: &str) -> String {
    let visible = |character: char| if character.is_control() { ' ' } else { character };
    beginning(message).chars().map(visible).collect()
}

/// What is said of a message at most.
pub(crate) fn beginning(message: &str) -> &str {
    message.get(..message.floor_char_boundary(LOG_LINE_BYTES)).unwrap_or_default()
}

/// The cause at the bottom of an error: the one that says what is wrong.
pub(crate) fn innermost(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let forged = "done\n2026-01-01 ERROR tenant=zeta \u{1b}[31mfire\r";
        assert_eq!(one_line(forged), "done 2026-01-01 ERROR tenant=zeta  [31mfire ");
        assert_eq!(one_line(&"ä".repeat(10_000)).len(), LOG_LINE_BYTES);
    }
}
