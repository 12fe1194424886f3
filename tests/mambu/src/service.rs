//! Processing of a request: credentials, rate limit, faults, idempotency, execution.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uuid::Uuid;

use crate::availability::{Availability, Uptime};
use crate::bank::MockBank;
use crate::error_codes::{
    EXCESSIVE_INVALID_REQUESTS, IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST, INTERNAL_ERROR, INVALID_API_OPERATION,
    INVALID_CREDENTIALS, INVALID_IDEMPOTENCY_KEY, MambuError, NOT_ACCEPTABLE, UNSUPPORTED_MEDIA_TYPE,
};
use crate::faults::{FaultKind, FaultRules};
use crate::http::{MockRequest, MockResponse};
use crate::idempotency::{IdempotencyKeys, IdempotentRequest, KeyState};
use crate::options::{MockCredentials, MockOptions};
use crate::route::ApiRoute;
use crate::stats::CallCounter;
use crate::{api, control_api};

/// Media type of Mambu's API v2. A request must accept it.
const MEDIA_TYPE: &str = "application/vnd.mambu.v2+json";

/// Action on a connection after a request was processed.
pub enum ConnectionAction {
    /// Send the response.
    Respond(MockResponse),
    /// Send a final response with status 102.
    Processing,
    /// Close the connection without a response.
    Close,
    /// Reset the connection.
    Reset,
    /// Send half of the response, then close the connection.
    Truncate(MockResponse),
    /// Send nothing, and keep the connection open until the client closes it.
    Stall,
}

/// Shared state of the server, independent of connections.
pub struct MockService {
    /// Options of the server.
    pub options: MockOptions,
    /// Availability of the server.
    pub availability: Availability,
    bank: Mutex<MockBank>,
    call_counter: Mutex<CallCounter>,
    fault_rules: Mutex<FaultRules>,
    keys: Mutex<IdempotencyKeys>,
}

/// Locks a mutex. Ignores poisoning: the state stays valid after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MockService {
    /// Creates the state of a server with an empty bank.
    #[must_use]
    pub fn new(options: MockOptions) -> Self {
        Self {
            availability: Availability::default(),
            bank: Mutex::new(MockBank::new(options.day)),
            call_counter: Mutex::default(),
            fault_rules: Mutex::default(),
            keys: Mutex::new(IdempotencyKeys::new(options.idempotency)),
            options,
        }
    }

    /// Locks the bank.
    pub fn bank(&self) -> MutexGuard<'_, MockBank> {
        lock(&self.bank)
    }

    /// Locks the call counter.
    pub fn call_counter(&self) -> MutexGuard<'_, CallCounter> {
        lock(&self.call_counter)
    }

    /// Locks the fault rules.
    pub fn fault_rules(&self) -> MutexGuard<'_, FaultRules> {
        lock(&self.fault_rules)
    }

    /// Processes a request. Does not execute it if the server goes down first.
    pub async fn handle(&self, request: &MockRequest, mut uptime: Uptime) -> ConnectionAction {
        if let Some(path) = request.path.strip_prefix("/_mock") {
            return ConnectionAction::Respond(control_api::handle(self, path, request));
        }
        let Some(path) = request.path.strip_prefix("/api") else {
            return error_action(&INVALID_API_OPERATION.status(404));
        };
        let route = ApiRoute::of(path);
        let rate = self.options.calls_per_second;
        let within = self.call_counter().record_arrival(request.arrived, &request.method, route.template, rate);
        if !within {
            return self.too_many_requests(1);
        }
        if let Err(error) = self.check_headers(request) {
            return error_action(&error);
        }
        let fault = self.fault_rules().next_fault(&request.method, route.template);
        if let Some(action) = fault.as_ref().and_then(|fault| self.replacement_action(fault)) {
            return action;
        }
        let response = match self.respond(request, &route, fault.as_ref(), &mut uptime).await {
            Ok(response) => response,
            Err(action) => return action,
        };
        match fault {
            Some(FaultKind::ErrorAfter(status)) => error_action(&INTERNAL_ERROR.status(status)),
            Some(FaultKind::LostAnswer) => ConnectionAction::Close,
            Some(FaultKind::CutAnswer) => ConnectionAction::Truncate(response),
            Some(FaultKind::Stall) => ConnectionAction::Stall,
            Some(FaultKind::SlowAnswer(milliseconds)) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                ConnectionAction::Respond(response)
            }
            Some(FaultKind::Restart { ms, .. }) => {
                self.availability.restart(Duration::from_millis(ms));
                ConnectionAction::Reset
            }
            _ => ConnectionAction::Respond(response),
        }
    }

    /// Checks credentials and media types.
    fn check_headers(&self, request: &MockRequest) -> Result<(), MambuError> {
        let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
        let basic = basic.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        let known = |credentials: &MockCredentials| match credentials {
            MockCredentials::ApiKey(key) => request.header("apikey") == Some(key),
            MockCredentials::Basic { user, password } => {
                basic.as_deref() == Some(format!("{user}:{password}").as_bytes())
            }
        };
        if !self.options.credentials.iter().any(known) {
            return Err(INVALID_CREDENTIALS.status(401));
        }
        if !request.header("accept").is_some_and(|accepted| accepted.split(',').any(|one| one.trim() == MEDIA_TYPE)) {
            return Err(MambuError { source: Some("Accept".to_owned()), ..NOT_ACCEPTABLE.status(406) });
        }
        let media_type = request.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !request.body.is_empty() && ![MEDIA_TYPE, "application/json"].contains(&media_type) {
            return Err(MambuError { source: Some("Content-Type".to_owned()), ..UNSUPPORTED_MEDIA_TYPE.status(415) });
        }
        Ok(())
    }

    /// Returns a response with status 429 and counts it.
    fn too_many_requests(&self, retry_after: u64) -> ConnectionAction {
        self.call_counter().record_rejection();
        let response = MockResponse::json(429, EXCESSIVE_INVALID_REQUESTS.status(429).body());
        ConnectionAction::Respond(response.with("retry-after", retry_after))
    }

    /// Returns the action that replaces the execution of the request, if the fault replaces it.
    fn replacement_action(&self, fault: &FaultKind) -> Option<ConnectionAction> {
        Some(match fault {
            FaultKind::ErrorBefore(status) => error_action(&INTERNAL_ERROR.status(*status)),
            FaultKind::ResetBefore => ConnectionAction::Reset,
            FaultKind::TooManyRequests(seconds) => self.too_many_requests(*seconds),
            FaultKind::Processing => ConnectionAction::Processing,
            FaultKind::Refuse { status, code, reason } => {
                error_action(&MambuError { status: *status, code: *code, reason: reason.clone(), source: None })
            }
            FaultKind::Redirect(to) => ConnectionAction::Respond(MockResponse::empty(302).with("location", to)),
            FaultKind::Restart { ms, committed: false } => {
                self.availability.restart(Duration::from_millis(*ms));
                ConnectionAction::Reset
            }
            _ => return None,
        })
    }

    /// Returns the stored response of the idempotency key, if there is one. Otherwise executes the request.
    async fn respond(
        &self,
        request: &MockRequest,
        route: &ApiRoute,
        fault: Option<&FaultKind>,
        uptime: &mut Uptime,
    ) -> Result<MockResponse, ConnectionAction> {
        let key = request.header("idempotency-key").filter(|_| request.method == "POST");
        let identity =
            IdempotentRequest { path: format!("{}?{}", request.path, request.query), body: request.body.clone() };
        if let Some(key) = key {
            if Uuid::try_parse(key).is_err() {
                return Err(error_action(&INVALID_IDEMPOTENCY_KEY.at("Idempotency-Key")));
            }
            match lock(&self.keys).begin(key, &identity) {
                KeyState::New => (),
                KeyState::Completed(response) => return Ok(response.with("x-idempotent-replayed", true)),
                KeyState::InProgress => return Err(ConnectionAction::Processing),
                KeyState::Conflict => {
                    return Err(error_action(&IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST.at("Idempotency-Key")));
                }
            }
        }
        if let Some(FaultKind::Slow(milliseconds)) = fault {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(*milliseconds)) => (),
                () = uptime.ended() => (),
            }
        }
        // A request in progress when the server goes down is not executed.
        let response =
            if uptime.is_over() { None } else { Some(api::handle(&mut self.bank(), &self.options, route, request)) };
        if let Some(key) = key {
            lock(&self.keys).end(key, identity, response.as_ref());
        }
        response.ok_or(ConnectionAction::Reset)
    }
}

/// Returns the action that sends an error.
fn error_action(error: &MambuError) -> ConnectionAction {
    ConnectionAction::Respond(MockResponse::json(error.status, error.body()))
}
