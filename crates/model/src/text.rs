//! Text of others, before people read it.

/// Whether a character is obeyed by a terminal or not seen by an eye: control characters, those that turn
/// the direction of writing, and those without a width.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    let marks = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    character.is_control() || marks || character == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_seen_and_what_moves_it_is_not() {
        assert!(!"Kosten 2024, 费用 (α ≤ 0,05)!".chars().any(is_hidden));
        for hidden in
            ['\u{1b}', '\n', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}']
        {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
    }
}
