//! Header fields that tell a browser what a response may do. Every response has them.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Fields of every response, unless its handler has set them.
const FIELDS: [(HeaderName, HeaderValue); 4] = [
    // A response loads nothing and runs nothing. Pages name what they need.
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // For browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Policy of the pages below `/docs`. Swagger UI loads its own scripts, and sets styles of elements.
const BROWSER_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Adds the fields to a response.
pub async fn add(mut response: Response) -> Response {
    for (name, value) in FIELDS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Sets the policy of the pages below `/docs`.
pub async fn of_browser(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, BROWSER_POLICY);
    response
}
