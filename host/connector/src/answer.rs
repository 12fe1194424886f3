//! What an answer means: that it happened, that it did not, or that nobody knows.

use std::time::Duration;

use super::caller::Answer;
use sluice_contract::PlatformDescription;
use sluice_framing::scalar_text;
use sluice_model::Code;
use sluice_target::{Path, visit};

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It happened.
    Done,
    /// It was not even tried: again, after so long.
    NotNow(Option<Duration>),
    /// It may have happened.
    Uncertain,
    /// Something like it has happened: perhaps this very call.
    Already(Code),
    /// The platform does not let us in.
    Denied,
    /// It is refused, and would be again.
    Refused(Code),
}

/// Stands for a refusal whose code the plugin does not know.
const OTHER: Code = Code::new("OTHER_REFUSAL");

/// Reads an answer. A code that the plugin's description does not have is not shown.
pub fn meaning(answer: &Answer, described: &PlatformDescription) -> Meaning {
    let mut codes = vec![];
    visit(&answer.body, &Path::new(&described.error_codes), &mut |raw| codes.extend(scalar_text(raw)));
    let among = |known: &[Code]| known.iter().find(|known| codes.iter().any(|code| ***known == **code)).cloned();
    match answer.status {
        200..=299 => Meaning::Done,
        429 => Meaning::NotNow(answer.retry_after),
        401 | 403 => Meaning::Denied,
        status => {
            if let Some(code) = among(&described.already) {
                return Meaning::Already(code);
            }
            if among(&described.busy).is_some() {
                return Meaning::NotNow(answer.retry_after);
            }
            match status {
                // 408: the platform gave up reading. What it had read by then is for it to say.
                408 | 500.. => Meaning::Uncertain,
                300..=399 => Meaning::Refused(Code::new("REDIRECTED")),
                _ => Meaning::Refused(among(&described.refusals).unwrap_or(OTHER)),
            }
        }
    }
}

/// Longest value of an answer that is kept.
const MOST_KEPT: usize = 64;

/// The fields of an answer that are kept: keys, and nothing that could be out of a record. None where one is missing.
pub fn kept(body: &str, keeps: &[(String, String)]) -> Option<Vec<(String, String)>> {
    let value = |(field, name): &(String, String)| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let value = text_at(body, field).filter(|text| text.len() <= MOST_KEPT && text.bytes().all(plain))?;
        Some((name.clone(), value))
    };
    keeps.iter().map(value).collect()
}

/// The text of a scalar in an object.
pub fn text_at(object: &str, path: &str) -> Option<String> {
    let mut text = None;
    visit(object, &Path::new(path), &mut |raw| text = scalar_text(raw).map(std::borrow::Cow::into_owned));
    text
}

/// The items of a list.
pub fn items(body: &str) -> Option<Vec<&serde_json::value::RawValue>> {
    serde_json::from_str(body).ok()
}
