//! Media type, compression and table parameters of an upload.

/// How records stand in a body.
#[derive(Clone, Debug)]
pub struct Form {
    /// Media type, with its parameters.
    pub media_type: String,
    /// How it is compressed, if it is.
    pub coding: Option<&'static str>,
    /// What else is to be said of a table.
    pub query: Vec<(&'static str, String)>,
}

impl Form {
    /// An object a line.
    pub fn lines() -> Self {
        Self { media_type: "application/jsonl".into(), coding: None, query: vec![] }
    }
}
