//! Events of a migration, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use uuid::Uuid;

use super::logs::log_entry_response;
use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::jobs::response::job_response;
use crate::http::paging::QueryString;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use sluice_model::{Grant, Migration};

/// Log entries read at once.
const ENTRIES: u64 = 100;

/// Interval between the progress events of a running job.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Events that wait for a slow client. Later ones stay in the catalogue until the client has read these.
const WAITING_EVENTS: usize = 64;

/// An event.
#[derive(ToSchema)]
#[schema(as = Event)]
#[allow(dead_code, reason = "describes events to readers of the API's document")]
struct EventResponse {
    /// `log` or `job`.
    event: String,
    /// Number of a `log` entry.
    id: Option<String>,
    /// A LogEntry or a Job, as JSON.
    data: String,
}

/// Stream a migration's events
///
/// `log` is an entry of the log, with its number as the event's id. `job` is the progress of a running job, once a second,
/// and its end. The stream ends when the request's token expires. A client that reconnects with `Last-Event-ID` gets the
/// entries that it missed. Without it the stream begins with the next event. Each migration numbers its entries from 1. A
/// client that was granted some of the migration's domains gets the events of these.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/events", tag = "Monitoring", operation_id = "streamEvents",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last entry that the client has received."),
        ("follow" = Option<bool>, Query, description = "`false`: send the existing entries and end."),
    ),
    responses((status = 200, body = EventResponse, content_type = "text/event-stream")),
)]
pub async fn stream(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let follows = match query.only(&["follow"])?.get("follow") {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(Problem::bad_request("INVALID_PARAMETER", "follow must be true or false.")),
    };
    let feed = app.blocking(move |app| {
        let migration = caller.migration(app, &id)?;
        let last = app.store.last_log(migration.reference_id)?;
        let last_entry = match headers.get("last-event-id") {
            Some(value) => value.to_str().ok().and_then(|value| value.parse::<u64>().ok()).ok_or_else(|| {
                Problem::bad_request("INVALID_PARAMETER", "Last-Event-ID must be the id of an event of this stream.")
            })?,
            None => last,
        };
        // A restored backup may have fewer entries than the client has received.
        let last_entry = last_entry.min(last);
        Ok::<_, Problem>(EventFeed { grant: caller.grant().clone(), migration, last_entry, running: vec![] })
    });
    let feed = feed.await?;
    let (send, receive) = mpsc::channel(WAITING_EVENTS);
    tokio::spawn(follow(app, feed, follows, send));
    let events = futures_util::StreamExt::map(ReceiverStream::new(receive), Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Reader of a migration's events.
struct EventFeed {
    grant: Grant,
    migration: Migration,
    /// Number of the last log entry that was read.
    last_entry: u64,
    /// Jobs that ran at the last read.
    running: Vec<Uuid>,
}

/// Events that were read at once.
struct EventBatch {
    events: Vec<Event>,
    /// True if these are all events so far.
    complete: bool,
}

impl EventFeed {
    /// Reads the next events: log entries, then ended jobs, and the progress of running jobs if `progress`. Returns none if
    /// the stream ends, because the client lost its access or the catalogue failed.
    fn next(&mut self, app: &App, progress: bool) -> Option<EventBatch> {
        // A client that is revoked, or whose token has expired, gets no more events. It can continue with another token.
        if !matches!(app.access.still_holds(&self.grant, jiff::Timestamp::now()), Ok(true)) {
            return None;
        }
        let mut events = vec![];
        let migration = self.migration.reference_id;
        let granted = self.grant.restricted_to(&self.migration);
        let entries = app.store.logs_after(migration, self.last_entry, granted.as_deref(), ENTRIES).ok()?;
        let complete = (entries.len() as u64) < ENTRIES;
        for (number, entry) in entries {
            self.last_entry = number;
            let event = Event::default().event("log").id(number.to_string());
            events.push(event.json_data(log_entry_response(entry)).ok()?);
        }
        if complete {
            let now = app.jobs.running(migration);
            let ended = self.running.iter().filter(|job| !now.contains(job));
            for job in ended.chain(now.iter().filter(|_| progress)) {
                let Ok(Some(job)) = app.store.job(migration, *job) else { continue };
                if !self.grant.sees_job(&self.migration, &job) {
                    continue;
                }
                events.push(Event::default().event("job").json_data(job_response(app, job)).ok()?);
            }
            self.running = now;
        }
        Some(EventBatch { events, complete })
    }
}

/// Sends a migration's events until the client disconnects or the server stops.
async fn follow(app: AsyncApp, mut feed: EventFeed, follows: bool, send: mpsc::Sender<Event>) {
    let mut changes = app.log_changes();
    let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
    let mut ticked = true;
    loop {
        let reading = app.spawn_blocking(move |app| {
            let batch = feed.next(app, ticked);
            (feed, batch)
        });
        let Ok((read, Some(EventBatch { events, complete }))) = reading.await else { return };
        feed = read;
        for event in events {
            if send.send(event).await.is_err() {
                return;
            }
        }
        if !complete {
            continue;
        }
        if !follows {
            return;
        }
        ticked = false;
        tokio::select! {
            _ = tick.tick() => ticked = true,
            changed = changes.changed() => if changed.is_err() { return },
            () = send.closed() => return,
            () = app.jobs().stopping() => return,
        }
    }
}
