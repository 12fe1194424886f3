//! What happens in a migration, as it happens: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::{Caller, Read};
use super::extract::Path;
use super::paging::Query;
use super::problem::Problem;
use super::{jobs, logs};
use crate::app::App;
use sluice_model::Grant;

/// Log entries read at once.
const ENTRIES: u64 = 100;

/// How often running jobs are looked at.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

/// Events that may wait for a client that reads slowly; those that follow wait in the catalogue.
const WAITING: usize = 64;

/// An event as it is sent.
#[derive(ToSchema)]
#[schema(as = Event)]
#[allow(dead_code, reason = "describes events to readers of the API's document")]
struct Sent {
    /// `log` or `job`.
    event: String,
    /// Number of a `log` entry.
    id: Option<String>,
    /// A LogEntry or a Job, as JSON.
    data: String,
}

/// A migration's events
///
/// `log`: an entry of the log, with its number as the event's id. `job`: a running job's progress, once a second, and
/// its end. The stream ends with the token that it was asked for with. A client that comes back with `Last-Event-ID`
/// gets the entries that it missed; without it the stream begins with what happens next.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/events", tag = "Monitoring", operation_id = "streamEvents",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last entry that the client has seen."),
        ("follow" = Option<bool>, Query, description = "`false`: what there is, and no waiting for more."),
    ),
    responses((status = 200, body = Sent, content_type = "text/event-stream")),
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let follows = match query.only(&["follow"])?.get("follow") {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(Problem::bad_request("INVALID_PARAMETER", "follow must be true or false.")),
    };
    let migration = caller.whole(&app, &id)?.reference_id;
    let grant = caller.grant().clone();
    let seen = match headers.get("last-event-id") {
        Some(value) => value.to_str().ok().and_then(|value| value.parse().ok()).ok_or_else(|| {
            Problem::bad_request("INVALID_PARAMETER", "Last-Event-ID must be the id of an event of this stream.")
        })?,
        None => app.store.last_log(migration)?,
    };
    let (send, receive) = mpsc::channel(WAITING);
    tokio::spawn(follow(app, grant, migration, seen, follows, send));
    let events = futures_util::StreamExt::map(ReceiverStream::new(receive), Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Sends what happens until nobody listens or the server stops.
async fn follow(app: Arc<App>, grant: Grant, migration: Uuid, mut seen: u64, follows: bool, send: mpsc::Sender<Event>) {
    let mut changes = app.store.log_changes();
    let mut running: Vec<Uuid> = vec![];
    let mut tick = tokio::time::interval(PROGRESS_PAUSE);
    let mut ticked = true;
    loop {
        // A client that is revoked, or whose token has ended, hears no more; with another token it goes on.
        if !matches!(app.access.still_holds(&grant, jiff::Timestamp::now()), Ok(true)) {
            return;
        }
        loop {
            let Ok(entries) = app.store.logs_after(migration, seen, ENTRIES) else { return };
            let full = entries.len() as u64 == ENTRIES;
            for (number, entry) in entries {
                seen = number;
                let event = Event::default().event("log").id(number.to_string()).json_data(logs::show(entry));
                if !sent(&send, event).await {
                    return;
                }
            }
            if !full {
                break;
            }
        }
        let now = app.jobs.running(migration);
        let ended = running.iter().filter(|job| !now.contains(job));
        for job in ended.chain(now.iter().filter(|_| ticked)) {
            let Ok(Some(job)) = app.store.job(migration, *job) else { continue };
            if !sent(&send, Event::default().event("job").json_data(jobs::show(&app, job))).await {
                return;
            }
        }
        if !follows {
            return;
        }
        running = now;
        ticked = false;
        tokio::select! {
            _ = tick.tick() => ticked = true,
            changed = changes.changed() => if changed.is_err() { return },
            () = send.closed() => return,
            () = app.jobs.stopping() => return,
        }
    }
}

async fn sent(send: &mpsc::Sender<Event>, event: Result<Event, axum::Error>) -> bool {
    match event {
        Ok(event) => send.send(event).await.is_ok(),
        Err(_) => false,
    }
}
