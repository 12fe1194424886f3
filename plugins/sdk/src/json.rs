//! Bodies and paths of API calls, made of constants, values of records, and values of earlier responses.

use serde::Serialize;

use crate::Id;
use crate::bindings::platform::exports::sluice::plugin::calling::{Answer, Part};

/// A JSON value that separates constants from values of records.
pub enum Node {
    /// A value that is the same for every record. The host may show it.
    Constant(serde_json::Value),
    /// A value of a record, as JSON text. The host does not show it.
    Value(String),
    /// A value that the host kept from the response to an earlier call.
    Answer(Key),
    /// An object with its fields in order.
    Object(Vec<(&'static str, Node)>),
    /// A list.
    List(Vec<Node>),
}

/// A reference to a value that the host kept from the response to an earlier call.
pub struct Key {
    /// Kind of the record whose plan has the call.
    pub kind: String,
    /// Reference id of that record.
    pub id: Id,
    /// Name under which the value was kept.
    pub name: String,
}

/// Returns a value that is the same for every record.
pub fn constant(value: impl Into<serde_json::Value>) -> Node {
    Node::Constant(value.into())
}

/// Returns a value of a record.
///
/// # Panics
///
/// If the value cannot be written as JSON.
pub fn value(value: impl Serialize) -> Node {
    Node::Value(serde_json::to_string(&value).expect("a value of a record must be writable as JSON"))
}

/// A builder of parts. It merges adjacent constants.
#[derive(Default)]
struct PartsBuilder(Vec<Part>);

impl PartsBuilder {
    fn constant(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Part::Constant(before)) => before.push_str(text),
            _ => self.0.push(Part::Constant(text.into())),
        }
    }

    fn node(&mut self, node: Node) {
        match node {
            Node::Constant(value) => self.constant(&value.to_string()),
            Node::Value(text) => self.0.push(Part::Value(text)),
            Node::Answer(key) => self.answer(key),
            Node::Object(fields) => {
                for (index, (name, node)) in fields.into_iter().enumerate() {
                    self.constant(if index == 0 { "{\"" } else { ",\"" });
                    self.constant(name);
                    self.constant("\":");
                    self.node(node);
                }
                self.constant("}");
            }
            Node::List(items) => {
                self.constant("[");
                for (index, node) in items.into_iter().enumerate() {
                    if index > 0 {
                        self.constant(",");
                    }
                    self.node(node);
                }
                self.constant("]");
            }
        }
    }

    fn answer(&mut self, Key { kind, id, name }: Key) {
        self.0.push(Part::Answer(Answer { kind, id: id.bytes().to_vec(), name }));
    }
}

/// Returns the parts of a body.
pub(crate) fn parts(body: Node) -> Vec<Part> {
    let mut parts = PartsBuilder::default();
    parts.node(body);
    parts.0
}

/// Returns the parts of a path. Texts are not quoted.
///
/// # Panics
///
/// If a piece is neither a text nor a value of an earlier response.
pub(crate) fn path(pieces: Vec<Node>) -> Vec<Part> {
    let mut parts = PartsBuilder::default();
    for piece in pieces {
        match piece {
            Node::Constant(serde_json::Value::String(text)) => parts.constant(&text),
            Node::Value(text) => parts.0.push(Part::Value(text.trim_matches('"').into())),
            Node::Answer(key) => parts.answer(key),
            Node::Constant(_) | Node::Object(_) | Node::List(_) => panic!("a path consists of texts and answers"),
        }
    }
    parts.0
}
