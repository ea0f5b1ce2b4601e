//! Text of others, before people read it.

/// Whether a character is obeyed by a terminal or not seen by an eye: control characters, those that turn
/// the direction of writing, and those without a width or a shape.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text with a mark in the place of what [`is_hidden`].
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_seen_and_what_moves_it_is_not() {
        let plain = "Kosten 2024, 费用 (α ≤ 0,05)!";
        assert_eq!(printable(plain), plain);
        for hidden in [
            '\u{1b}',
            '\n',
            '\u{7f}',
            '\u{9b}',
            '\u{61c}',
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{3164}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
        assert_eq!(printable("a\u{1b}[2Kb"), "a\u{fffd}[2Kb");
    }
}
