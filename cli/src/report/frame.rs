//! What all charts share: their width, the section around them, and their names for readers who
//! do not see them.

use maud::{Markup, html};

use super::figures::at;

/// Width of every drawing, in pixels at the size for which it is made.
pub(super) const WIDTH: f64 = 1152.0;

/// A section with a heading, a sentence on how to read it, and its chart if there is one.
pub(super) fn section(id: &str, title: &str, lead: &str, drawn: Option<Markup>) -> Markup {
    html! {
        section.chart id=(id) {
            h2 { (title) }
            p.lead { (lead) }
            @if let Some(drawn) = drawn { (drawn) }
        }
    }
}

/// A drawing of the full width, with what it is called and what it shows.
pub(super) fn drawing(
    id: &str,
    title: &str,
    described: &str,
    height: f64,
    content: &Markup,
) -> Markup {
    let (named, told) = (format!("{id}-title"), format!("{id}-desc"));
    html! {
        svg role="img" data-chart=(id) viewBox=(format!("0 0 {} {}", at(WIDTH), at(height)))
            aria-labelledby=(format!("{named} {told}")) {
            title id=(named) { (title) }
            desc id=(told) { (described) }
            (content)
        }
    }
}
