//! What is traced of a request: its method and its route, and nothing that a client could have put into the URI.

use axum::Router;
use axum::http::{Method, Request};
use tower_http::trace::TraceLayer;
use tracing::Span;

use crate::model::DOMAINS;

/// The fixed words of all routes. A segment that is none of them is shown as `{}`: it is an id, a name that the
/// client chose, or a piece of a record.
const WORDS: &[&str] = &[
    "approvals",
    "audit",
    "authentication",
    "cancel",
    "clients",
    "counts",
    "delete",
    "events",
    "evidence",
    "health",
    "issues",
    "jobs",
    "live",
    "logs",
    "mapper",
    "mappers",
    "metrics",
    "migration-assistance",
    "migrations",
    "oauth2",
    "openapi.json",
    "plugins",
    "quarantine",
    "ready",
    "sources",
    "staging",
    "stream",
    "token",
];

/// Segments beyond which no route goes.
const MAX_SEGMENTS: usize = 10;

/// A path's route: its fixed words, and `{}` for everything else.
pub fn route(path: &str) -> String {
    let word = |segment: &str| {
        let known = WORDS.iter().copied().chain(DOMAINS.iter().map(|domain| domain.path)).find(|word| *word == segment);
        known.unwrap_or(if segment.is_empty() { "" } else { "{}" })
    };
    let route: Vec<&str> = path.split('/').take(MAX_SEGMENTS).map(word).collect();
    route.join("/")
}

/// The method, unless it is one of the client's own making.
fn method(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.iter().position(|known| known == method).map_or("OTHER", |index| NAMES[index])
}

/// Every request gets a span of its own.
pub fn traced(router: Router) -> Router {
    router.layer(TraceLayer::new_for_http().make_span_with(|request: &Request<_>| -> Span {
        tracing::info_span!("request", method = method(request.method()), route = route(request.uri().path()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fixed_words_are_shown() {
        let cases = [
            ("/", "/"),
            ("/migration-assistance/migrations", "/migration-assistance/migrations"),
            ("/migration-assistance/migrations/Novak/sources/loan", "/migration-assistance/migrations/{}/sources/{}"),
            (
                "/collateral-management/migrations/1/staging/x/stream",
                "/collateral-management/migrations/{}/staging/{}/stream",
            ),
            ("/Novak", "/{}"),
            ("//Novak//", "//{}//"),
            ("*", "{}"),
        ];
        for (path, expected) in cases {
            assert_eq!(route(path), expected, "{path}");
        }
        assert!(route(&"/x".repeat(10_000)).len() < 100);
        let own = Method::from_bytes(b"NOVAK").unwrap();
        assert_eq!([method(&Method::PUT), method(&own)], ["PUT", "OTHER"]);
    }
}
