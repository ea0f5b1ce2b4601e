//! How the figures are made, in words.

use maud::{Markup, html};

use super::text::Text;
use crate::message::Lang;

const NOTES: [(Text, Text); 7] = [
    (Text::TermWeight, Text::NoteWeight),
    (Text::TermCmi, Text::NoteCmi),
    (Text::TermIndex, Text::NoteIndex),
    (Text::TermGeo, Text::NoteGeo),
    (Text::TermPercentile, Text::NotePercentile),
    (Text::TermShares, Text::NoteShares),
    (Text::TermWithheld, Text::NoteWithheld),
];

/// The section of notes on method.
pub(super) fn section(lang: Lang) -> Markup {
    html! {
        section.notes id="notes" {
            h2 { (Text::Notes.of(lang)) }
            dl {
                @for (term, text) in NOTES {
                    div { dt { (term.of(lang)) } dd { (text.of(lang)) } }
                }
            }
        }
    }
}
