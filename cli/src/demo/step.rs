//! One step of making a region: a spinner while it runs, a line with its time when it is done.

use std::fmt::Display;
use std::time::Instant;

use indicatif::ProgressBar;
use service::Clock;

use crate::console::Console;
use crate::message::Message;
use crate::run::Context;

/// A step under way.
#[derive(Debug)]
pub struct Step {
    console: Console,
    clock: Clock,
    started: Instant,
    bar: ProgressBar,
}

impl Step {
    /// Starts the clock, and a bar of `length` where there is a terminal.
    #[must_use]
    pub fn begin(context: &Context, message: Message, length: Option<u64>) -> Self {
        let clock = context.clock.clone();
        let bar = context.console.bar(message, length);
        Self { console: context.console, started: clock.monotonic(), clock, bar }
    }

    /// The bar, for moving it.
    #[must_use]
    pub const fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// A line without ending the step.
    pub fn note(&self, line: impl Display) {
        self.bar.suspend(|| self.console.note(line));
    }

    /// Ends the step with a line and its time.
    pub fn done(self, line: impl Display) {
        self.bar.finish_and_clear();
        let seconds = self.clock.monotonic().duration_since(self.started).as_secs_f64();
        self.console.note(format!("{seconds:6.2} s  {line}"));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
