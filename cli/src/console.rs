//! The only place that writes to the terminal: data to stdout, everything else to stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use model::RefusalCode;

use crate::exit::Failure;
use crate::message::{Lang, Message, fill, refusal_heading};

const TICK: Duration = Duration::from_millis(100);

/// Where messages go.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    lang: Lang,
    quiet: bool,
}

impl Console {
    /// A console that speaks `lang`; a quiet one only reports failures.
    #[must_use]
    pub const fn new(lang: Lang, quiet: bool) -> Self {
        Self { lang, quiet }
    }

    /// The language of messages.
    #[must_use]
    pub const fn lang(self) -> Lang {
        self.lang
    }

    /// A message as text.
    #[must_use]
    pub fn text(self, message: Message, parts: &[&dyn Display]) -> String {
        fill(message, self.lang, parts)
    }

    /// Whether stdout is a terminal.
    #[must_use]
    pub fn shows_stdout(self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes data to stdout.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn data(
        self,
        write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout());
        write(&mut out)
            .and_then(|()| out.flush())
            .map_err(|source| Failure::Output { place: "stdout".to_owned(), source })
    }

    /// A line on stderr, unless quiet.
    pub fn note(self, line: impl Display) {
        if !self.quiet {
            say(line);
        }
    }

    /// Why the command failed, on stderr.
    pub fn failure(self, failure: &Failure) {
        say(failure_text(self.lang, failure));
    }

    /// A bar on stderr, shown on a terminal only. Without a length it is a spinner.
    #[must_use]
    pub fn bar(self, message: Message, length: Option<u64>) -> ProgressBar {
        let bar = if self.quiet {
            ProgressBar::hidden()
        } else {
            length.map_or_else(ProgressBar::new_spinner, ProgressBar::new)
        };
        let form = match length {
            Some(_) => "{spinner} {prefix} {bar:30} {pos}/{len} {wide_msg}",
            None => "{spinner} {prefix} {wide_msg}",
        };
        // A template that cannot be parsed leaves indicatif's own.
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_prefix(message.text(self.lang));
        bar.enable_steady_tick(TICK);
        bar
    }
}

/// Nobody can be told that standard error is closed.
fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The failure with its translated heading; details stay as they were said.
fn failure_text(lang: Lang, failure: &Failure) -> String {
    let heading = match failure {
        Failure::Usage(_) => Message::Usage,
        Failure::Data(_) => Message::Data,
        Failure::Unavailable(_) => Message::Unavailable,
        Failure::Internal(_) => Message::Internal,
        Failure::Output { .. } => Message::Output,
        Failure::Refused(refusal) if refusal.code == RefusalCode::Waiting => Message::Waiting,
        Failure::Refused(_) | Failure::RefusedOtherwise(_) => Message::Refused,
        Failure::Configuration(_) => Message::Configuration,
    };
    let heading = heading.text(lang);
    match failure {
        Failure::Refused(refusal) => {
            let meaning = refusal_heading(refusal.code, lang);
            let mut text = format!("{heading} [{}]: {meaning}: {}", refusal.code, refusal.subject);
            text.push_str(&format!("\n  {}", refusal.reason));
            if !refusal.instead.is_empty() {
                let instead = Message::Instead.text(lang);
                text.push_str(&format!("\n  {instead}: {}", refusal.instead));
            }
            text
        }
        Failure::Output { place, source } => format!("{heading} {place}: {source}"),
        other => format!("{heading}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Refusal;

    #[test]
    fn a_refusal_shows_code_subject_reason_and_the_way_out() {
        let refusal = Refusal::new(RefusalCode::Aggregate, "max(los_days)", "It is a row.", "Sum.");
        let refused = Failure::Refused(Box::new(refusal));
        assert_eq!(
            failure_text(Lang::En, &refused),
            "Refused [aggregate]: aggregate that cannot be added up: max(los_days)\n  It is a row.\n  Instead: Sum."
        );
        assert_eq!(
            failure_text(Lang::Zh, &refused),
            "被拒绝 [aggregate]: 该聚合不可相加: max(los_days)\n  It is a row.\n  可以这样: Sum."
        );
    }
}
