//! Where in a record a check is; text only once something is wrong there.

/// Field names and indexes from the record down to a value.
#[derive(Default)]
pub(crate) struct Path {
    parts: Vec<Part>,
}

enum Part {
    Field(&'static str),
    Index(usize),
}

impl Path {
    pub fn push_field(&mut self, name: &'static str) {
        self.parts.push(Part::Field(name));
    }

    pub fn push_index(&mut self, index: usize) {
        self.parts.push(Part::Index(index));
    }

    pub fn pop(&mut self) {
        self.parts.pop();
    }

    pub fn clear(&mut self) {
        self.parts.clear();
    }

    /// Whether this is the record itself.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Such as `addresses[0].postalCode`.
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

    /// The path of a field of the object that is here.
    pub fn field(&self, name: &str) -> String {
        let text = self.text();
        if text.is_empty() { name.to_owned() } else { format!("{text}.{name}") }
    }
}

/// A misspelt field name is worth showing and no secret; anything unlike a name is not shown.
pub(crate) fn showable(name: &str) -> &str {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if letters && digits <= 2 && (1..=40).contains(&name.len()) { name } else { "?" }
}
