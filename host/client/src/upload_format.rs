//! Media type, compression and table parameters of an upload.

/// Format of an uploaded body.
#[derive(Clone, Debug)]
pub struct UploadFormat {
    /// Media type with its parameters.
    pub media_type: String,
    /// Content encoding of a compressed body, such as `gzip`.
    pub content_encoding: Option<&'static str>,
    /// Query parameters that describe a table, such as its separator.
    pub query: Vec<(&'static str, String)>,
}

impl UploadFormat {
    /// Returns the format of uncompressed JSON Lines: one object a line.
    pub fn json_lines() -> Self {
        Self { media_type: "application/jsonl".into(), content_encoding: None, query: vec![] }
    }
}
