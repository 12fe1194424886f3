//! What tus 1.0 says in header fields: versions, lengths and offsets, metadata and checksums; and what is refused of it.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::media::shape_of;
use super::pieces::Coding;
use super::problem::Problem;
use sluice_framing::Shape;
use sluice_model::told;
use sluice_tus::{Checksum, bytes, pairs};

/// The version that we speak, and what of it.
pub const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
pub const EXTENSIONS: &str = "creation,checksum,expiration,termination";
pub const ALGORITHMS: &str = "sha1,sha256";

pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// The media type of a part.
const PART: &str = "application/offset+octet-stream";

/// What a request is meant to be: some proxies let only `POST` through, and the method that is meant stands in a field.
pub async fn as_meant(mut request: Request) -> Request {
    let meant = text(request.headers(), &HeaderName::from_static("x-http-method-override"));
    let meant = [Method::PATCH, Method::DELETE, Method::HEAD].into_iter().find(|known| meant == Some(known.as_str()));
    if let (Some(meant), &Method::POST, true) = (meant, request.method(), request.uri().path().contains("/uploads/")) {
        *request.method_mut() = meant;
    }
    request
}

/// Sees to it that both sides speak the same version, and says so.
pub async fn speak(request: Request, next: Next) -> Response {
    let spoken = matches!(*request.method(), Method::GET | Method::OPTIONS)
        || request.headers().get(TUS_RESUMABLE) == Some(&VERSION);
    let mut response = if spoken {
        next.run(request).await
    } else {
        let detail = "Say Tus-Resumable: 1.0.0, which is the only version of tus that is spoken here.";
        let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "UNKNOWN_TUS_VERSION", detail);
        problem.with(TUS_VERSION, VERSION).into_response()
    };
    response.headers_mut().insert(TUS_RESUMABLE, VERSION);
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<u64, Problem> {
    let mut given = headers.get_all(name).iter();
    let once = given.next().filter(|_| given.next().is_none());
    once.and_then(|value| value.to_str().ok()).and_then(bytes).ok_or_else(|| {
        let detail = told!("{} must be there, once, and be a whole number of bytes.", name);
        Problem::bad_request("INVALID_HEADER_FIELD", detail)
    })
}

/// Where a part begins that is sent.
pub fn offset(headers: &HeaderMap) -> Result<u64, Problem> {
    if text(headers, &header::CONTENT_TYPE).is_none_or(|given| given.trim() != PART) {
        let detail = "Send a part as Content-Type: application/offset+octet-stream.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    number(headers, "upload-offset")
}

/// An upload that is to be made.
pub struct Creation {
    pub length: u64,
    /// As it was given, and is given back.
    pub metadata: String,
}

/// How records stand in an upload, and how it is compressed.
pub struct Form {
    pub shape: Shape,
    pub coding: Coding,
}

/// What a creation says of the upload.
pub fn creation(headers: &HeaderMap) -> Result<Creation, Problem> {
    if headers.contains_key("upload-defer-length") {
        let detail = "Say how long the upload is, with Upload-Length: lengths are not taken later.";
        return Err(Problem::bad_request("INVALID_HEADER_FIELD", detail));
    }
    let metadata = text(headers, &UPLOAD_METADATA).unwrap_or_default().to_owned();
    Ok(Creation { length: number(headers, "upload-length")?, metadata })
}

/// How the body is framed and compressed, by the metadata.
pub fn form(metadata: &str) -> Result<Form, Problem> {
    let pairs = pairs(metadata).ok_or_else(|| {
        let detail = "Upload-Metadata must be names with values in base64, parted by commas.";
        Problem::bad_request("INVALID_METADATA", detail)
    })?;
    let get = |names: &[&str]| {
        let found = names.iter().find_map(|name| pairs.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.as_str())
    };
    let media_type = get(&["content-type", "contentType", "filetype"]).unwrap_or_default();
    let shape = shape_of(media_type, |name| get(&[name]))?;
    Ok(Form { shape, coding: Coding::named(get(&["content-encoding", "contentEncoding"]).unwrap_or_default())? })
}

/// What a part has to come to, as a request names it, if it does.
pub fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Problem> {
    let Some(given) = headers.get("upload-checksum") else { return Ok(None) };
    given.to_str().ok().and_then(Checksum::named).map(Some).ok_or_else(|| {
        let detail = "Upload-Checksum must be sha1 or sha256, a blank, and the checksum in base64.";
        Problem::bad_request("INVALID_CHECKSUM", detail)
    })
}

/// The status for a part that is not what its checksum says.
pub fn mismatch() -> Problem {
    let status = StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST);
    Problem::new(status, "CHECKSUM_MISMATCH", "The part is not what its checksum says, and was dropped. Send it again.")
}

/// A time as HTTP writes it (RFC 9110).
pub fn http_date(at: jiff::Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
