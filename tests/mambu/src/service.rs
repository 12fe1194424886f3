//! What happens to a request between its arrival and its answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uuid::Uuid;

use crate::availability::{Life, Power};
use crate::bank::Bank;
use crate::error_codes::{
    EXCESSIVE_INVALID_REQUESTS, IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST, INTERNAL_ERROR, INVALID_API_OPERATION,
    INVALID_CREDENTIALS, INVALID_IDEMPOTENCY_KEY, NOT_ACCEPTABLE, Refusal, UNSUPPORTED_MEDIA_TYPE,
};
use crate::faults::{Kind, Orders};
use crate::http::{Answer, Request};
use crate::idempotency::{Asked, Begun, Keys};
use crate::options::{Credentials, Options};
use crate::route::Route;
use crate::stats::Counts;
use crate::{api, control_api};

/// What Mambu's API v2 answers in, and has to be asked for.
const MEDIA_TYPE: &str = "application/vnd.mambu.v2+json";

/// What becomes of a request's connection.
pub enum Outcome {
    Answer(Answer),
    /// A finished 102.
    Processing,
    /// The connection ends without an answer.
    Close,
    Reset,
    /// Half of the answer, then the connection ends.
    Cut(Answer),
    /// Nothing, until the client gives up.
    Never,
}

/// The server without its connections.
pub struct Service {
    pub options: Options,
    pub power: Power,
    bank: Mutex<Bank>,
    counts: Mutex<Counts>,
    orders: Mutex<Orders>,
    keys: Mutex<Keys>,
}

/// What a panic left behind is still what the server knows.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            power: Power::default(),
            bank: Mutex::new(Bank::new(options.day)),
            counts: Mutex::default(),
            orders: Mutex::default(),
            keys: Mutex::new(Keys::new(options.idempotency)),
            options,
        }
    }

    pub fn bank(&self) -> MutexGuard<'_, Bank> {
        held(&self.bank)
    }

    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        held(&self.counts)
    }

    pub fn orders(&self) -> MutexGuard<'_, Orders> {
        held(&self.orders)
    }

    /// Handles a request, unless the server goes down first.
    pub async fn handle(&self, request: &Request, mut life: Life) -> Outcome {
        if let Some(path) = request.path.strip_prefix("/_mock") {
            return Outcome::Answer(control_api::answer(self, path, request));
        }
        let Some(path) = request.path.strip_prefix("/api") else {
            return refused(&INVALID_API_OPERATION.status(404));
        };
        let route = Route::of(path);
        let rate = self.options.calls_per_second;
        let within = self.counts().arrive(request.arrived, &request.method, route.template, rate);
        if !within {
            return self.too_many(1);
        }
        if let Err(refusal) = self.admit(request) {
            return refused(&refusal);
        }
        let fault = self.orders().strike(&request.method, route.template);
        if let Some(outcome) = fault.as_ref().and_then(|fault| self.instead(fault)) {
            return outcome;
        }
        let answer = match self.answer(request, &route, fault.as_ref(), &mut life).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match fault {
            Some(Kind::ErrorAfter(status)) => refused(&INTERNAL_ERROR.status(status)),
            Some(Kind::LostAnswer) => Outcome::Close,
            Some(Kind::CutAnswer) => Outcome::Cut(answer),
            Some(Kind::Stall) => Outcome::Never,
            Some(Kind::SlowAnswer(milliseconds)) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                Outcome::Answer(answer)
            }
            Some(Kind::Restart { ms, .. }) => {
                self.power.restart(Duration::from_millis(ms));
                Outcome::Reset
            }
            _ => Outcome::Answer(answer),
        }
    }

    /// Whether a request may be looked at, whatever it asks for.
    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        let basic = basic.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        let known = |credentials: &Credentials| match credentials {
            Credentials::ApiKey(key) => request.header("apikey") == Some(key),
            Credentials::Basic { user, password } => basic.as_deref() == Some(format!("{user}:{password}").as_bytes()),
        };
        if !self.options.credentials.iter().any(known) {
            return Err(INVALID_CREDENTIALS.status(401));
        }
        if !request.header("accept").is_some_and(|accepted| accepted.split(',').any(|one| one.trim() == MEDIA_TYPE)) {
            return Err(Refusal { source: Some("Accept".to_owned()), ..NOT_ACCEPTABLE.status(406) });
        }
        let media_type = request.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !request.body.is_empty() && ![MEDIA_TYPE, "application/json"].contains(&media_type) {
            return Err(Refusal { source: Some("Content-Type".to_owned()), ..UNSUPPORTED_MEDIA_TYPE.status(415) });
        }
        Ok(())
    }

    fn too_many(&self, retry_after: u64) -> Outcome {
        self.counts().refuse();
        let answer = Answer::json(429, EXCESSIVE_INVALID_REQUESTS.status(429).body());
        Outcome::Answer(answer.with("retry-after", retry_after))
    }

    /// What a fault does in the place of what was asked, if that is what it does.
    fn instead(&self, fault: &Kind) -> Option<Outcome> {
        Some(match fault {
            Kind::ErrorBefore(status) => refused(&INTERNAL_ERROR.status(*status)),
            Kind::ResetBefore => Outcome::Reset,
            Kind::TooManyRequests(seconds) => self.too_many(*seconds),
            Kind::Processing => Outcome::Processing,
            Kind::Refuse { status, code, reason } => {
                refused(&Refusal { status: *status, code: *code, reason: reason.clone(), source: None })
            }
            Kind::Redirect(to) => Outcome::Answer(Answer::empty(302).with("location", to)),
            Kind::Restart { ms, committed: false } => {
                self.power.restart(Duration::from_millis(*ms));
                Outcome::Reset
            }
            _ => return None,
        })
    }

    /// The answer under the request's idempotency key, if it has one that holds; otherwise it is carried out.
    async fn answer(
        &self,
        request: &Request,
        route: &Route,
        fault: Option<&Kind>,
        life: &mut Life,
    ) -> Result<Answer, Outcome> {
        let key = request.header("idempotency-key").filter(|_| request.method == "POST");
        let asked = Asked { path: format!("{}?{}", request.path, request.query), body: request.body.clone() };
        if let Some(key) = key {
            if Uuid::try_parse(key).is_err() {
                return Err(refused(&INVALID_IDEMPOTENCY_KEY.at("Idempotency-Key")));
            }
            match held(&self.keys).begin(key, &asked) {
                Begun::New => (),
                Begun::Answered(answer) => return Ok(answer.with("x-idempotent-replayed", true)),
                Begun::InWork => return Err(Outcome::Processing),
                Begun::Another => {
                    return Err(refused(&IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST.at("Idempotency-Key")));
                }
            }
        }
        if let Some(Kind::Slow(milliseconds)) = fault {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(*milliseconds)) => (),
                () = life.ended() => (),
            }
        }
        // What was in work when the server went down is not done.
        let answer =
            if life.is_over() { None } else { Some(api::answer(&mut self.bank(), &self.options, route, request)) };
        if let Some(key) = key {
            held(&self.keys).end(key, asked, answer.as_ref());
        }
        answer.ok_or(Outcome::Reset)
    }
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Answer(Answer::json(refusal.status, refusal.body()))
}
