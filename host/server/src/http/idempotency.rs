//! `Idempotency-Key`: a `POST` that is sent again, since its answer was lost, is answered again and not done again.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::app::App;
use sluice_catalog::{Kept, Making, Reserved};
use sluice_model::told;

/// Longest key.
const MAX_KEY_BYTES: usize = 255;

const SECONDS_AN_HOUR: i64 = 60 * 60;

/// Does what a request asks for, once for each of the client's keys. `make` is told the id of what it makes, and whether that
/// may be there already.
pub fn once(
    app: &App,
    client: &str,
    headers: &HeaderMap,
    request: &[&[u8]],
    make: impl FnOnce(Making) -> Result<Kept, Problem>,
) -> Result<Response, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return answer(make(Making::anew())?, false) };
    let key = key.as_bytes();
    if !(1..=MAX_KEY_BYTES).contains(&key.len()) || !key.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
        let detail = told!("Idempotency-Key must be 1 to {} visible ASCII characters.", MAX_KEY_BYTES as u64);
        return Err(Problem::bad_request("INVALID_IDEMPOTENCY_KEY", detail));
    }
    // Its hash does as well, and nobody can have written anything into it.
    let key: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut hash = Sha256::new();
    for part in request {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let now = jiff::Timestamp::now().as_second();
    let oldest = now - app.config.http.idempotency_hours as i64 * SECONDS_AN_HOUR;
    match app.store.reserve_key(client, &key, &hash.finalize().into(), now, oldest)? {
        Reserved::ToDo(making) => {
            let made = make(making).and_then(|kept| Ok(app.store.keep_answer(client, &key, &kept).map(|()| kept)?));
            if let Err(problem) = &made {
                // What was refused may be sent again once it is put right. After trouble of our own nobody knows how far
                // it came: sent again, it goes on with the same id.
                if problem.is_refusal() {
                    app.store.release_key(client, &key)?;
                } else {
                    app.store.release_unanswered_key(client, &key)?;
                }
            }
            answer(made?, false)
        }
        Reserved::Answered(kept) => answer(kept, true),
        Reserved::InWork => Err(Problem::conflict(
            "REQUEST_IN_WORK",
            "A request with this Idempotency-Key is being carried out. Try again in a moment.",
        )),
        Reserved::Other => Err(Problem::unprocessable(
            "IDEMPOTENCY_KEY_REUSED",
            "Another request was sent with this Idempotency-Key. Use a new one for each.",
        )),
    }
}

fn answer(kept: Kept, again: bool) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], kept.body).into_response();
    let headers = response.headers_mut();
    let location = kept.location.and_then(|location| HeaderValue::from_str(&location).ok());
    headers.extend(location.map(|location| (header::LOCATION, location)));
    if again {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}
