//! The path of the value that a check is at. It becomes text only if there is a finding.

/// A path: names of fields and indexes from the record down to a value.
#[derive(Default)]
pub(crate) struct Path {
    parts: Vec<Part>,
}

/// A part of a path.
enum Part {
    /// Name of a field.
    Field(&'static str),
    /// Index in a list.
    Index(usize),
}

impl Path {
    /// Appends the name of a field.
    pub fn push_field(&mut self, name: &'static str) {
        self.parts.push(Part::Field(name));
    }

    /// Appends an index.
    pub fn push_index(&mut self, index: usize) {
        self.parts.push(Part::Index(index));
    }

    /// Removes the last part.
    pub fn pop(&mut self) {
        self.parts.pop();
    }

    /// Removes all parts.
    pub fn clear(&mut self) {
        self.parts.clear();
    }

    /// Returns true if this is the path of the record itself.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the path as text, such as `addresses[0].postalCode`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Field(name) if text.is_empty() => text.push_str(name),
                Part::Field(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Part::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// Returns the path, as text, of a field of the object at this path.
    pub fn field(&self, name: &str) -> String {
        let text = self.text();
        if text.is_empty() { name.to_owned() } else { format!("{text}.{name}") }
    }
}

/// Returns the name if it may be shown, else `?`. A misspelt field name helps the reader and is no secret. Text that
/// does not look like a name of a field could be personal data.
pub(crate) fn showable(name: &str) -> &str {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if letters && digits <= 2 && (1..=40).contains(&name.len()) { name } else { "?" }
}
