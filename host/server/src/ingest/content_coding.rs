//! Content codings of a request body.

/// Content codings that the server accepts, as `Accept-Encoding` names them.
pub const CODINGS: &str = "gzip, zstd";

/// Compression of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// Not compressed.
    Plain,
    /// Gzip (RFC 1952), of one or more members.
    Gzip,
    /// Zstandard (RFC 8878), of one or more frames.
    Zstd,
}

/// A content coding that the server does not accept.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the content coding is not known")]
pub struct UnknownCoding;

impl ContentCoding {
    /// Returns the coding with this name.
    pub fn named(name: &str) -> Result<Self, UnknownCoding> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Plain),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(UnknownCoding),
        }
    }
}
