//! `Idempotency-Key`: the server answers a repeated `POST` again and does not carry it out again.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::http::problem::Problem;
use sluice_catalog::{KeyReservation, PendingCreation, StoredResponse};
use sluice_model::message;

/// Maximum length of a key.
const MAX_KEY_BYTES: usize = 255;

const SECONDS_AN_HOUR: i64 = 60 * 60;

/// Carries out a request once for each of the client's keys. `make` receives the id of the new resource, and true if an
/// earlier attempt may have made it.
pub fn once(
    app: &App,
    client: &str,
    headers: &HeaderMap,
    request: &[&[u8]],
    make: impl FnOnce(PendingCreation) -> Result<StoredResponse, Problem>,
) -> Result<Response, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return answer(make(PendingCreation::new())?, false) };
    let key = key.as_bytes();
    if !(1..=MAX_KEY_BYTES).contains(&key.len()) || !key.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
        let detail = message!("Idempotency-Key must be 1 to {} visible ASCII characters.", MAX_KEY_BYTES as u64);
        return Err(Problem::bad_request("INVALID_IDEMPOTENCY_KEY", detail));
    }
    // The hash of the key is sufficient, and contains nothing that the client wrote.
    let key: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut hash = Sha256::new();
    for part in request {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let now = jiff::Timestamp::now().as_second();
    let oldest = now - app.config.http.idempotency_hours as i64 * SECONDS_AN_HOUR;
    match app.store.reserve_key(client, &key, &hash.finalize().into(), now, oldest)? {
        KeyReservation::Execute(making) => {
            let made =
                make(making).and_then(|kept| Ok(app.store.store_response(client, &key, &kept).map(|()| kept)?));
            if let Err(problem) = &made {
                // The client may repeat a refused request once it has corrected it. After a failure of the server it is not known
                // how much was done, so a repeated request continues with the same id.
                if problem.is_refusal() {
                    app.store.release_key(client, &key)?;
                } else {
                    app.store.release_unanswered_key(client, &key)?;
                }
            }
            answer(made?, false)
        }
        KeyReservation::Answered(kept) => answer(kept, true),
        KeyReservation::InProgress => Err(Problem::conflict(
            "REQUEST_IN_WORK",
            "The server is carrying out a request with this Idempotency-Key. Try again in a moment.",
        )),
        KeyReservation::DifferentRequest => Err(Problem::unprocessable(
            "IDEMPOTENCY_KEY_REUSED",
            "This Idempotency-Key was used for another request. Use a new key for each request.",
        )),
    }
}

fn answer(kept: StoredResponse, again: bool) -> Result<Response, Problem> {
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
