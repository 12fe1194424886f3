//! Progress on standard error: bars on a terminal, one line a step elsewhere, nothing if quiet.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sluice_model::printable;

use crate::output::warn;

/// Ways in which progress is shown.
#[derive(Clone, Copy)]
pub struct ProgressDisplay {
    bars: bool,
    lines: bool,
}

impl ProgressDisplay {
    /// Shows progress on standard error unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { bars: !quiet && std::io::stderr().is_terminal(), lines: !quiet }
    }

    /// Returns a bar for a step. The caller clears it at the step's end. `total` is none if it is unknown.
    pub fn bar(self, step: &str, total: Option<u64>) -> ProgressBar {
        if !self.bars {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{prefix:22} {bar:32} {percent:>3} % {msg}",
            None => "{prefix:22} {spinner} {msg}",
        };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(printable(step).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Writes a line about a finished step.
    pub fn line(self, text: &str) {
        if self.lines {
            warn(&format!("{text}\n"));
        }
    }
}
