//! What differs between what is expected of a case and what came out, for reading.

use std::fmt::Write;

use serde_json::Value;
use similar::{ChangeTag, DiffOp, TextDiff, capture_diff_slices};

/// Differences of a case that are shown; more are counted.
const SHOWN: usize = 10;

/// Between records that are expected and those that were made, each with the line of the input that it came from.
pub fn records(expected: &[String], made: &[(u64, String)]) -> String {
    let lines: Vec<&str> = made.iter().map(|(_, line)| line.as_str()).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let mut found = vec![];
    for op in capture_diff_slices(similar::Algorithm::Myers, &expected, &lines) {
        let (old, new) = (op.old_range(), op.new_range());
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        for index in 0..old.len().max(new.len()) {
            let was = old.clone().nth(index).map(|at| expected[at]);
            let is = new.clone().nth(index).map(|at| (made[at].0, lines[at]));
            found.push(match (was, is) {
                (Some(was), Some((line, is))) => {
                    format!("\n    made from line {line} of input.jsonl:{}", fields(was, is))
                }
                (None, Some((line, is))) => {
                    format!("\n    made from line {line} of input.jsonl, not expected:\n      + {is}")
                }
                (Some(was), None) => format!("\n    expected, and not made:\n      - {was}"),
                (None, None) => String::new(),
            });
        }
    }
    shown(&found)
}

/// Between issues, one a line.
pub fn issues(expected: &[String], made: &[String]) -> String {
    let mut found = vec![];
    for change in capture_diff_slices(similar::Algorithm::Myers, expected, made) {
        if !matches!(change, DiffOp::Equal { .. }) {
            found.extend(change.old_range().map(|at| format!("\n    issues.json: - {}", expected[at])));
            found.extend(change.new_range().map(|at| format!("\n    issues.json: + {}", made[at])));
        }
    }
    shown(&found)
}

fn shown(found: &[String]) -> String {
    let mut text: String = found.iter().take(SHOWN).map(String::as_str).collect();
    if found.len() > SHOWN {
        let _ = write!(text, "\n    and {} more", found.len() - SHOWN);
    }
    text
}

/// The fields in which two records differ; or the records, where they differ in nothing but their form.
fn fields(was: &str, is: &str) -> String {
    let pretty =
        |text: &str| serde_json::from_str::<Value>(text).and_then(|value| serde_json::to_string_pretty(&value));
    let (Ok(old), Ok(new)) = (pretty(was), pretty(is)) else { return format!("\n      - {was}\n      + {is}") };
    if old == new {
        return format!(" the same values, written otherwise:\n      - {was}\n      + {is}");
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
