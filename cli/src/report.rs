//! A benchmark as a report for people: one HTML file that needs nothing else.
//!
//! It guarantees that the file is complete in itself (styles inside, charts drawn in SVG, no
//! script, and a content policy that lets a browser fetch nothing), that every text of the data is
//! escaped, and that what is withheld is a dash and never a zero. The same benchmark gives the
//! same bytes. It leaves out how the benchmark was made and where the file goes.

mod boxes;
mod classes;
mod figures;
mod frame;
pub mod funnel;
mod head;
mod labels;
mod notes;
mod quadrant;
mod scale;
mod stack;
mod tables;
mod text;

#[cfg(test)]
mod tests;

use maud::{DOCTYPE, PreEscaped, html};
use model::casemix::benchmark::Benchmark;

use self::text::Text;
use crate::message::Lang;

/// Styles for screen and print.
const STYLE: &str = include_str!("report/style.css");
/// Nothing is fetched and nothing runs, whatever the data say.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// What a fee class is called; a class that the data model does not have, by its code.
pub(crate) fn class_name(code: &str, lang: Lang) -> &str {
    let class = classes::CLASSES.iter().find(|class| class.code == code);
    class.map_or(code, |class| class.name(lang))
}

/// The report in one language. `made_at` is when the benchmark was made, RFC 3339.
#[must_use]
pub fn html(benchmark: &Benchmark, lang: Lang, made_at: &str) -> String {
    let mean = head::regional_mean(benchmark);
    let code = if lang == Lang::En { "en" } else { "zh-CN" };
    let page = html! {
        (DOCTYPE)
        html lang=(code) {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content="Consilium";
                title { (Text::Title.fill(lang, &[&benchmark.region])) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head::title(benchmark, lang, made_at))
                    (head::key_figures(benchmark, lang, mean))
                    (boxes::section(benchmark, lang, mean))
                    (quadrant::section(benchmark, lang))
                    (stack::section(benchmark, lang))
                    (tables::groups(benchmark, lang))
                    (tables::hospitals(benchmark, lang))
                    (notes::section(lang))
                    footer { (Text::Footer.fill(lang, &[&made_at])) }
                }
            }
        }
    };
    page.into_string().chars().map(printable).collect()
}

/// The character, or a replacement when it would hide or turn around what stands beside it: names
/// come from code lists, which are data.
fn printable(c: char) -> char {
    match c {
        '\n' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
            char::REPLACEMENT_CHARACTER
        }
        _ if c.is_control() => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}
