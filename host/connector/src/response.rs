//! Interpretation of a platform's response: the call happened, did not happen, or may have happened.

use std::time::Duration;

use super::http_client::PlatformResponse;
use sluice_contract::PlatformDescription;
use sluice_framing::scalar_text;
use sluice_model::Code;
use sluice_target::{RecordPath, visit};

/// Meaning of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponseMeaning {
    /// The call happened.
    Done,
    /// The platform did not try the call. It may be sent again after this time.
    Postponed(Option<Duration>),
    /// The call may have happened.
    Uncertain,
    /// Something like the call has happened, possibly this very call.
    Already(Code),
    /// The platform denies access.
    Denied,
    /// The platform refuses the call, and would refuse it again.
    Refused(Code),
}

/// Code of a refusal that the plugin does not know.
const OTHER: Code = Code::new("OTHER_REFUSAL");

/// Interprets a response. Only codes of the plugin's description are shown.
pub fn interpret(response: &PlatformResponse, description: &PlatformDescription) -> ResponseMeaning {
    let mut codes = vec![];
    visit(&response.body, &RecordPath::new(&description.error_codes), &mut |raw| codes.extend(scalar_text(raw)));
    let among = |known: &[Code]| known.iter().find(|known| codes.iter().any(|code| ***known == **code)).cloned();
    match response.status {
        200..=299 => ResponseMeaning::Done,
        429 => ResponseMeaning::Postponed(response.retry_after),
        401 | 403 => ResponseMeaning::Denied,
        status => {
            if let Some(code) = among(&description.already) {
                return ResponseMeaning::Already(code);
            }
            if among(&description.busy).is_some() {
                return ResponseMeaning::Postponed(response.retry_after);
            }
            match status {
                // Status 408: the platform stopped reading. It may have read the whole call.
                408 | 500.. => ResponseMeaning::Uncertain,
                300..=399 => ResponseMeaning::Refused(Code::new("REDIRECTED")),
                _ => ResponseMeaning::Refused(among(&description.refusals).unwrap_or(OTHER)),
            }
        }
    }
}

/// Maximum length of a value that is saved from a response.
const MAX_SAVED_BYTES: usize = 64;

/// Returns the fields of a response that the plan saves: only keys, and nothing that could come from a record. Returns
/// none if one is missing.
pub fn kept_values(body: &str, keeps: &[(String, String)]) -> Option<Vec<(String, String)>> {
    let value = |(field, name): &(String, String)| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let value = text_at(body, field).filter(|text| text.len() <= MAX_SAVED_BYTES && text.bytes().all(plain))?;
        Some((name.clone(), value))
    };
    keeps.iter().map(value).collect()
}

/// Returns the text of a scalar in an object.
pub fn text_at(object: &str, path: &str) -> Option<String> {
    let mut text = None;
    visit(object, &RecordPath::new(path), &mut |raw| text = scalar_text(raw).map(std::borrow::Cow::into_owned));
    text
}

/// Returns the items of a list.
pub fn items(body: &str) -> Option<Vec<&serde_json::value::RawValue>> {
    serde_json::from_str(body).ok()
}
