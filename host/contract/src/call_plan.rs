//! A plan of calls as a platform plugin made it, checked against the plugin's own description.

use super::platform::{Kind, PlatformDescription, method};
use super::wire::{WireCall, WireCheck, WireEntityPlan, WireExpectation, WirePart};
use sluice_model::Name;

/// Calls of one record's plan: thirty years of payments, and more.
const MOST_CALLS: usize = 10_000;
/// Longest id of a call.
const MOST_ID: usize = 100;

/// A piece of a path or body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is, and for anybody to see.
    Constant(String),
    /// As it is, out of a record: sent, and shown to nobody.
    Value(String),
    /// What an earlier answer held.
    Answer {
        /// The kind of the record whose plan had that call.
        kind: Name,
        /// That record.
        id: [u8; 16],
        /// Under which name it was kept.
        name: String,
    },
}

/// How to find out whether a call happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It may be sent again.
    Repeat,
    /// Something is at this path.
    Found(String),
    /// What is at this path has another value in this field.
    Changed(String, String, String),
    /// An item at this path has this value in this field.
    Listed(String, String, String),
}

/// How a call is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// HTTP method.
    pub method: &'static str,
    /// Path.
    pub path: Vec<Piece>,
    /// Body; empty for none.
    pub body: Vec<Piece>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// Which step.
    pub step: Name,
    /// HTTP method of that step.
    pub method: &'static str,
    /// What it is known by in its plan.
    pub id: String,
    /// Path.
    pub path: Vec<Piece>,
    /// Body; empty for none.
    pub body: Vec<Piece>,
    /// Fields of the answer to keep, each under a name.
    pub keeps: Vec<(String, String)>,
    /// How to find out whether it happened.
    pub check: Check,
    /// How it is taken back.
    pub undo: Option<Undo>,
}

/// What is to be found afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Index of the query.
    pub query: usize,
    /// By which id.
    pub id: String,
    /// As what it is counted.
    pub group: Option<Name>,
    /// In the order of the query's amounts.
    pub amounts: Vec<rust_decimal::Decimal>,
}

/// The plan of one record.
#[derive(Clone, Debug)]
pub struct PlannedEntity {
    /// The record's position.
    pub position: u32,
    /// In order.
    pub calls: Vec<PlannedCall>,
    /// Steps that it does without, one for each call.
    pub saved: Vec<Name>,
    /// What is to be found afterwards.
    pub expectations: Vec<Expectation>,
}

/// Stands for an answer in a path. What is kept of answers is letters, digits, `-` and `_`, and never nothing.
const ANSWERED: &str = "_";

/// Ids of ours and fixed names: nothing that could lead anywhere else.
fn path_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/:._~-".contains(&byte)) && !text.contains("..")
}

fn pieces(parts: Vec<WirePart>, description: &PlatformDescription, path: bool) -> Option<Vec<Piece>> {
    let piece = |part| {
        Some(match part {
            WirePart::Constant(text) => Piece::Constant(text),
            WirePart::Value(text) => Piece::Value(text),
            WirePart::Answer(answer) => {
                let kind = description.kinds.iter().find(|kind| kind.name == *answer.kind)?.name.clone();
                Piece::Answer { kind, id: answer.id.try_into().ok()?, name: answer.name }
            }
        })
    };
    let pieces: Vec<Piece> = parts.into_iter().map(piece).collect::<Option<_>>()?;
    if path {
        let starts = matches!(pieces.first(), Some(Piece::Constant(text)) if text.starts_with('/'));
        // Together: two dots may be one at the end of a piece and one at the front of the next.
        let shown = pieces.iter().map(|piece| match piece {
            Piece::Constant(text) | Piece::Value(text) => text,
            Piece::Answer { .. } => ANSWERED,
        });
        return (starts && path_text(&shown.collect::<String>())).then_some(pieces);
    }
    Some(pieces)
}

fn check(check: WireCheck) -> Option<Check> {
    let plain = |path: String| (path.starts_with('/') && path_text(&path)).then_some(path);
    Some(match check {
        WireCheck::Repeat => Check::Repeat,
        WireCheck::Found(path) => Check::Found(plain(path)?),
        WireCheck::Changed((path, field, from)) => Check::Changed(plain(path)?, field, from),
        WireCheck::Listed((path, field, value)) => Check::Listed(plain(path)?, field, value),
    })
}

fn call(planned: WireCall, kind: &Kind, description: &PlatformDescription) -> Option<PlannedCall> {
    let step = kind.steps.iter().find(|step| step.name == *planned.step)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-:._".contains(&byte);
    if planned.id.is_empty() || planned.id.len() > MOST_ID || !planned.id.bytes().all(plain) {
        return None;
    }
    let undo = match planned.undo {
        None => None,
        Some(undo) => Some(Undo {
            method: method(&undo.method)?,
            path: pieces(undo.path, description, true)?,
            body: pieces(undo.body, description, false)?,
        }),
    };
    Some(PlannedCall {
        step: step.name.clone(),
        method: step.method,
        id: planned.id,
        path: pieces(planned.path, description, true)?,
        body: pieces(planned.body, description, false)?,
        keeps: planned.keeps,
        check: check(planned.check)?,
        undo,
    })
}

/// Whether no call comes after one that it should come before, of those about the same thing.
fn in_order(calls: &[(String, String)], kind: &Kind) -> bool {
    calls.iter().enumerate().all(|(index, (subject, step))| {
        let Some(step) = kind.steps.iter().find(|known| known.name == **step) else { return false };
        let mut later = calls[index + 1..].iter().filter(|(of, _)| of == subject);
        later.all(|(_, later)| step.after.iter().all(|earlier| *earlier != **later))
    })
}

fn expectation(expected: WireExpectation, description: &PlatformDescription) -> Option<Expectation> {
    let query = description.queries.iter().position(|query| query.name == *expected.query)?;
    let of = &description.queries[query];
    let group = of.groups.iter().find(|(value, _)| *value == expected.group).map(|(_, name)| name.clone());
    let amounts: Vec<_> = expected.amounts.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
    let fits = amounts.len() == of.amounts.len() && (group.is_some() || of.group.is_empty());
    fits.then_some(Expectation { query, id: expected.id, group, amounts })
}

/// One record's plan, if it is one: made of steps of its kind, in their order, each call under an id of its own.
pub fn planned(
    plan: WireEntityPlan,
    kind: &Kind,
    description: &PlatformDescription,
) -> Result<PlannedEntity, &'static str> {
    if plan.calls.len() > MOST_CALLS {
        return Err("a plan has too many calls");
    }
    let order: Vec<(String, String)> =
        plan.calls.iter().map(|call| (call.subject.clone(), call.step.clone())).collect();
    if !in_order(&order, kind) {
        return Err("its steps are not in the order that its description says");
    }
    let calls: Vec<PlannedCall> = plan
        .calls
        .into_iter()
        .map(|planned| call(planned, kind, description))
        .collect::<Option<_>>()
        .ok_or("a call is not as its description says")?;
    let mut ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("two calls of a plan have one id");
    }
    let saved = plan
        .saved
        .iter()
        .map(|saved| kind.steps.iter().find(|step| step.name == **saved).map(|step| step.name.clone()));
    Ok(PlannedEntity {
        position: plan.position,
        calls,
        saved: saved.collect::<Option<_>>().ok_or("it saves a step that it has not")?,
        expectations: plan
            .expectations
            .into_iter()
            .map(|expected| expectation(expected, description))
            .collect::<Option<_>>()
            .ok_or("it expects what no query of its description finds")?,
    })
}
