//! What a person sees while it goes on: bars in a terminal, a line a step elsewhere, nothing if quiet.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress is shown.
#[derive(Clone, Copy)]
pub struct View {
    bars: bool,
    lines: bool,
}

impl View {
    /// Standard error, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { bars: !quiet && std::io::stderr().is_terminal(), lines: !quiet }
    }

    /// A bar for a step, which goes when the step is done. `total` is none where nobody knows it.
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
        bar.set_prefix(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// A line about a step that is done.
    pub fn line(self, text: &str) {
        if self.lines {
            // A closed standard error is nobody's loss.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}

/// Writes on standard output; a reader who has gone away is no error.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A number with commas between its thousands; digits after a point are left as they are.
pub fn grouped(number: impl std::fmt::Display) -> String {
    let text = number.to_string();
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// `1 record`, `2 records`.
pub fn counted(count: u64, one: &str) -> String {
    let many = one.strip_suffix('y').map_or_else(|| format!("{one}s"), |stem| format!("{stem}ies"));
    format!("{} {}", grouped(count), if count == 1 { one } else { &many })
}

#[cfg(test)]
mod tests {
    use crate::commands::grouped;

    #[test]
    fn thousands() {
        let cases = [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-103261740.25", "-103,261,740.25")];
        for (number, wanted) in cases {
            assert_eq!(grouped(number), wanted);
        }
    }
}
