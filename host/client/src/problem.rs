//! Problem documents of the server.

use serde::Deserialize;

/// A problem document (RFC 9457): the members that are shown to a person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProblemDocument {
    /// Short name of the kind of problem.
    pub title: Option<String>,
    /// Description of this occurrence.
    pub detail: Option<String>,
    /// Stable code of the problem.
    pub code: Option<String>,
}

impl ProblemDocument {
    /// Returns title, detail and code in one line.
    pub fn sentence(&self) -> String {
        let title = self.title.as_deref().unwrap_or("Problem");
        let detail = self.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let code = self.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
        format!("{title}{detail}{code}")
    }
}
