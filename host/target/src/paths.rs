//! Values at a path of a record, such as `facilities[].amount`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use sluice_framing::member_of;

/// A path, cut into steps.
#[derive(Clone, Debug)]
pub struct Path {
    steps: Vec<(String, bool)>,
}

impl Path {
    /// Reads `a.b[].c`.
    pub fn new(path: &str) -> Self {
        let step = |step: &str| match step.strip_suffix("[]") {
            Some(name) => (name.to_owned(), true),
            None => (step.to_owned(), false),
        };
        Self { steps: path.split('.').map(step).collect() }
    }

    /// Its first step, whether that is a list, and what remains inside it.
    pub fn split_first_owned(mut self) -> (String, bool, Path) {
        let (name, list) = self.steps.remove(0);
        (name, list, self)
    }
}

/// Calls `found` with the raw JSON of each value at `path` in `json`. What is not there is passed over.
pub fn visit<'a>(json: &'a str, path: &Path, found: &mut dyn FnMut(&'a str)) {
    walk(json, &path.steps, found);
}

fn walk<'a>(json: &'a str, steps: &[(String, bool)], found: &mut dyn FnMut(&'a str)) {
    let Some(((name, list), rest)) = steps.split_first() else { return found(json) };
    // Everything was judged before it was staged: judging it again to count it was 40 % of counting.
    let Some(value) = member_of(json, name) else { return };
    if *list {
        each(value, |item| walk(item, rest, found));
    } else {
        walk(value, rest, found);
    }
}

/// Calls `found` with each item of a JSON list.
pub(super) fn each<'a>(json: &'a str, mut found: impl FnMut(&'a str)) {
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) {
        items.into_iter().for_each(|item| found(item.get()));
    }
}

/// The amount and currency of a JSON money value.
pub fn money(json: &str) -> Option<(rust_decimal::Decimal, Cow<'_, str>)> {
    #[derive(serde::Deserialize)]
    struct Money<'a> {
        #[serde(borrow)]
        amount: &'a RawValue,
        #[serde(borrow)]
        currency: Cow<'a, str>,
    }
    let money: Money = serde_json::from_str(json).ok()?;
    Some((decimal(money.amount.get())?, money.currency))
}

/// The number that these digits spell.
pub fn decimal(digits: &str) -> Option<rust_decimal::Decimal> {
    rust_decimal::Decimal::from_str_exact(digits).or_else(|_| rust_decimal::Decimal::from_scientific(digits)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits() {
        let record = r#"{"a":{"b":1},"l":[{"m":{"amount":0.10,"currency":"CZK"}},{"n":2},{"m":3}],"s":"x"}"#;
        let cases: &[(&str, &[&str])] = &[
            ("a.b", &["1"]),
            ("s", &["\"x\""]),
            ("l[].m", &[r#"{"amount":0.10,"currency":"CZK"}"#, "3"]),
            ("absent", &[]),
            ("a[].b", &[]),
            ("s.t", &[]),
        ];
        for (path, expected) in cases {
            let mut found = vec![];
            visit(record, &Path::new(path), &mut |value| found.push(value));
            assert_eq!(found, *expected, "{path}");
        }
    }
}
