//! Bodies and paths of calls: what is constant in them, what is out of a record, and what an earlier answer gives.

use serde::Serialize;

use crate::Id;
use crate::bindings::platform::exports::sluice::plugin::calling::{Answer, Part};

/// A JSON value whose parts are told apart.
pub enum Node {
    /// The same for everybody: it may be shown.
    Constant(serde_json::Value),
    /// Out of a record: JSON text.
    Value(String),
    /// What an earlier call has kept.
    Answer(Key),
    /// Fields, in this order.
    Object(Vec<(&'static str, Node)>),
    /// Items.
    List(Vec<Node>),
}

/// Which kept answer.
pub struct Key {
    /// The kind of the record whose plan had the call.
    pub kind: String,
    /// That record.
    pub id: Id,
    /// Under which name it was kept.
    pub name: String,
}

/// The same for everybody.
pub fn constant(value: impl Into<serde_json::Value>) -> Node {
    Node::Constant(value.into())
}

/// Out of a record.
pub fn value(value: impl Serialize) -> Node {
    Node::Value(serde_json::to_string(&value).expect("a value of a record can be written as JSON"))
}

/// Parts in the making: constants that follow each other are one.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
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

/// A body.
pub(crate) fn parts(body: Node) -> Vec<Part> {
    let mut parts = Parts::default();
    parts.node(body);
    parts.0
}

/// A path: texts are as they are, not quoted.
pub(crate) fn path(pieces: Vec<Node>) -> Vec<Part> {
    let mut parts = Parts::default();
    for piece in pieces {
        match piece {
            Node::Constant(serde_json::Value::String(text)) => parts.constant(&text),
            Node::Value(text) => parts.0.push(Part::Value(text.trim_matches('"').into())),
            Node::Answer(key) => parts.answer(key),
            Node::Constant(_) | Node::Object(_) | Node::List(_) => panic!("a path is made of texts and answers"),
        }
    }
    parts.0
}
