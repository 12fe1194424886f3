//! Differences between the expected and the produced records and issues of a test case, as text.

use std::fmt::Write;

use serde_json::Value;
use similar::{ChangeTag, DiffOp, TextDiff, capture_diff_slices};

/// Maximum number of differences that are shown for a case. The others are counted.
const MAX_DIFFERENCES: usize = 10;

/// Returns the differences between expected and produced records. Each produced record has its line of the input.
pub fn records(expected: &[String], made: &[(u64, String)]) -> String {
    let lines: Vec<&str> = made.iter().map(|(_, line)| line.as_str()).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let mut differences = vec![];
    for op in capture_diff_slices(similar::Algorithm::Myers, &expected, &lines) {
        let (old, new) = (op.old_range(), op.new_range());
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        for index in 0..old.len().max(new.len()) {
            let was = old.clone().nth(index).map(|at| expected[at]);
            let is = new.clone().nth(index).map(|at| (made[at].0, lines[at]));
            differences.push(match (was, is) {
                (Some(was), Some((line, is))) => {
                    format!("\n    made from line {line} of input.jsonl:{}", fields(was, is))
                }
                (None, Some((line, is))) => {
                    format!("\n    made from line {line} of input.jsonl, not expected:\n      + {is}")
                }
                (Some(was), None) => format!("\n    expected, not made:\n      - {was}"),
                (None, None) => String::new(),
            });
        }
    }
    first_differences(&differences)
}

/// Returns the differences between expected and produced issues, one a line.
pub fn issues(expected: &[String], made: &[String]) -> String {
    let mut differences = vec![];
    for change in capture_diff_slices(similar::Algorithm::Myers, expected, made) {
        if !matches!(change, DiffOp::Equal { .. }) {
            differences.extend(change.old_range().map(|at| format!("\n    issues.json: - {}", expected[at])));
            differences.extend(change.new_range().map(|at| format!("\n    issues.json: + {}", made[at])));
        }
    }
    first_differences(&differences)
}

fn first_differences(differences: &[String]) -> String {
    let mut text: String = differences.iter().take(MAX_DIFFERENCES).map(String::as_str).collect();
    if differences.len() > MAX_DIFFERENCES {
        let _ = write!(text, "\n    and {} more", differences.len() - MAX_DIFFERENCES);
    }
    text
}

/// Returns the fields in which two records differ, or the whole records if only their formatting differs.
fn fields(was: &str, is: &str) -> String {
    let pretty =
        |text: &str| serde_json::from_str::<Value>(text).and_then(|value| serde_json::to_string_pretty(&value));
    let (Ok(old), Ok(new)) = (pretty(was), pretty(is)) else { return format!("\n      - {was}\n      + {is}") };
    if old == new {
        return format!(" the same values in another format:\n      - {was}\n      + {is}");
    }
    let diff = TextDiff::from_lines(&old, &new);
    let changes = diff.iter_all_changes().filter_map(|change| {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => return None,
        };
        Some(format!("\n      {sign} {}", change.value().trim().trim_end_matches(',')))
    });
    changes.collect()
}
