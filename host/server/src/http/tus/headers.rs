//! Header fields of tus 1.0: version, lengths, offsets, metadata, checksums.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::problem::Problem;
use crate::http::request::media::shape_of;
use crate::ingest::ContentCoding;
use sluice_framing::BodyFormat;
use sluice_model::message;
use sluice_tus::{Checksum, bytes, pairs};

/// Version of tus that the server implements.
pub const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// Extensions of tus that the server implements.
pub const EXTENSIONS: &str = "creation,checksum,expiration,termination";
/// Checksum algorithms that the server accepts.
pub const ALGORITHMS: &str = "sha1,sha256";

/// Header field for the version of a request or response.
pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// Header field for the versions that the server implements.
pub const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// Header field for the offset of a part, or of the next part.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Header field for the length of an upload in bytes.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// Header field for the metadata of an upload.
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// Header field for the time at which an upload expires.
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// Media type of a part.
const PART: &str = "application/offset+octet-stream";

/// Replaces the method of a `POST` to an upload with the method in `X-HTTP-Method-Override`. Some proxies let only `POST`
/// through.
pub async fn override_method(mut request: Request) -> Request {
    let meant = text(request.headers(), &HeaderName::from_static("x-http-method-override"));
    let meant = [Method::PATCH, Method::DELETE, Method::HEAD].into_iter().find(|known| meant == Some(known.as_str()));
    if let (Some(meant), &Method::POST, true) = (meant, request.method(), request.uri().path().contains("/uploads/")) {
        *request.method_mut() = meant;
    }
    request
}

/// Refuses a request with another version of tus, and names the server's version in each response.
pub async fn require_version(request: Request, next: Next) -> Response {
    let accepted = matches!(*request.method(), Method::GET | Method::OPTIONS)
        || request.headers().get(TUS_RESUMABLE) == Some(&VERSION);
    let mut response = if accepted {
        next.run(request).await
    } else {
        let detail = "Send Tus-Resumable: 1.0.0. The server implements no other version of tus.";
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
        let detail = message!("Send {} once, with a whole number of bytes.", name);
        Problem::bad_request("INVALID_HEADER_FIELD", detail)
    })
}

/// Returns the offset of the part that a request sends.
pub fn offset(headers: &HeaderMap) -> Result<u64, Problem> {
    if text(headers, &header::CONTENT_TYPE).is_none_or(|given| !given.trim().eq_ignore_ascii_case(PART)) {
        let detail = "Send a part as Content-Type: application/offset+octet-stream.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    number(headers, "upload-offset")
}

/// Header fields of a request that creates an upload.
pub struct UploadCreation {
    /// Length of the upload in bytes.
    pub length: u64,
    /// Metadata as the client sent it. The server returns it unchanged.
    pub metadata: String,
}

/// Form of an upload's bytes.
pub struct UploadForm {
    /// Framing of the records.
    pub shape: BodyFormat,
    /// Compression.
    pub coding: ContentCoding,
}

/// Reads the header fields of a request that creates an upload.
pub fn creation(headers: &HeaderMap) -> Result<UploadCreation, Problem> {
    if headers.contains_key("upload-defer-length") {
        let detail = "Send the length of the upload as Upload-Length. The server does not accept a deferred length.";
        return Err(Problem::bad_request("INVALID_HEADER_FIELD", detail));
    }
    let metadata = text(headers, &UPLOAD_METADATA).unwrap_or_default().to_owned();
    Ok(UploadCreation { length: number(headers, "upload-length")?, metadata })
}

/// Reads the form of an upload's bytes from its metadata.
pub fn form(metadata: &str) -> Result<UploadForm, Problem> {
    let pairs = pairs(metadata).ok_or_else(|| {
        let detail = "Upload-Metadata must be names with values in base64, separated by commas.";
        Problem::bad_request("INVALID_METADATA", detail)
    })?;
    let get = |names: &[&str]| {
        let found = names.iter().find_map(|name| pairs.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.as_str())
    };
    let media_type = get(&["content-type", "contentType", "filetype"]).unwrap_or_default();
    let shape = shape_of(media_type, |name| get(&[name]))?;
    let coding = ContentCoding::named(get(&["content-encoding", "contentEncoding"]).unwrap_or_default())?;
    Ok(UploadForm { shape, coding })
}

/// Reads the checksum of a part, if the request has one.
pub fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Problem> {
    let Some(given) = headers.get("upload-checksum") else { return Ok(None) };
    given.to_str().ok().and_then(Checksum::named).map(Some).ok_or_else(|| {
        let detail = "Upload-Checksum must be sha1 or sha256, a space, and the checksum in base64.";
        Problem::bad_request("INVALID_CHECKSUM", detail)
    })
}

/// Returns the problem for a part that does not match its checksum.
pub fn mismatch() -> Problem {
    let status = StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST);
    let detail = "The part does not match its checksum and was discarded. Send it again.";
    Problem::new(status, "CHECKSUM_MISMATCH", detail)
}

/// Formats a time as HTTP does (RFC 9110).
pub fn http_date(at: jiff::Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
