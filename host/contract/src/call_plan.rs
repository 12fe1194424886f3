//! Plans of API calls by a platform plugin, checked against the plugin's description.

use super::platform::{PlatformDescription, PlatformKind, method};
use super::wire::{WireCall, WireCheck, WireEntityPlan, WireExpectation, WirePart};
use sluice_model::Name;

/// Maximum number of calls in a plan. Thirty years of payments have fewer.
const MAX_CALLS: usize = 10_000;
/// Maximum length of a call's id in bytes.
const MAX_ID_BYTES: usize = 100;

/// A part of a path or body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallPart {
    /// Literal text that is the same for every record, and may be shown.
    Constant(String),
    /// Literal text with a value of a record. It is sent and never shown.
    Value(String),
    /// A value that was kept from an earlier response.
    Answer {
        /// Kind of the record whose plan has that call.
        kind: Name,
        /// Reference id of that record.
        id: [u8; 16],
        /// Name under which the value was kept.
        name: String,
    },
}

/// Method of finding out whether a call happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallCheck {
    /// No check: the call can be repeated.
    Repeat,
    /// The call happened if something exists at this path.
    Found(String),
    /// The call happened if the object at this path has another value in this field: path, field, value.
    Changed(String, String, String),
    /// The call happened if an item of the list at this path has this value in this field: path, field, value.
    Listed(String, String, String),
}

/// The call that rolls back another call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallUndo {
    /// HTTP method.
    pub method: &'static str,
    /// Path.
    pub path: Vec<CallPart>,
    /// Body; empty for none.
    pub body: Vec<CallPart>,
}

/// A planned API call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// Name of the step.
    pub step: Name,
    /// HTTP method of the step.
    pub method: &'static str,
    /// Id, unique in the plan.
    pub id: String,
    /// Path.
    pub path: Vec<CallPart>,
    /// Body; empty for none.
    pub body: Vec<CallPart>,
    /// Fields of the response to keep, and the name to keep each under.
    pub keeps: Vec<(String, String)>,
    /// Method of finding out whether the call happened.
    pub check: CallCheck,
    /// The call that rolls this one back.
    pub undo: Option<CallUndo>,
}

/// An item that the platform must have after the import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Index of the query that finds the item.
    pub query: usize,
    /// Id of the item.
    pub id: String,
    /// Name under which the item is counted.
    pub group: Option<Name>,
    /// Amounts in the order of the query's amounts.
    pub amounts: Vec<rust_decimal::Decimal>,
}

/// The plan of one record.
#[derive(Clone, Debug)]
pub struct PlannedEntity {
    /// Position of the record.
    pub position: u32,
    /// Calls, in order.
    pub calls: Vec<PlannedCall>,
    /// Steps of the full flow that the plan saves, one for each saved call.
    pub saved: Vec<Name>,
    /// An item that the platform must have after the import.
    pub expectations: Vec<Expectation>,
}

/// Placeholder of a kept value when a path is checked. Kept values are letters, digits, `-` and `_`, and never empty.
const KEPT_VALUE: &str = "_";

/// Returns true if a path consists of ids and fixed names, so that it leads nowhere else.
fn is_plain_path(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/:._~-".contains(&byte)) && !text.contains("..")
}

/// Converts the parts of a path or body. Returns `None` if a part is not declared, or if the path is not plain.
fn parts(parts: Vec<WirePart>, description: &PlatformDescription, path: bool) -> Option<Vec<CallPart>> {
    let piece = |part| {
        Some(match part {
            WirePart::Constant(text) => CallPart::Constant(text),
            WirePart::Value(text) => CallPart::Value(text),
            WirePart::Answer(answer) => {
                let kind = description.kinds.iter().find(|kind| kind.name == *answer.kind)?.name.clone();
                CallPart::Answer { kind, id: answer.id.try_into().ok()?, name: answer.name }
            }
        })
    };
    let pieces: Vec<CallPart> = parts.into_iter().map(piece).collect::<Option<_>>()?;
    if path {
        let starts = matches!(pieces.first(), Some(CallPart::Constant(text)) if text.starts_with('/'));
        // The parts are checked together, because one can end with a dot and the next begin with one.
        let shown = pieces.iter().map(|piece| match piece {
            CallPart::Constant(text) | CallPart::Value(text) => text,
            CallPart::Answer { .. } => KEPT_VALUE,
        });
        return (starts && is_plain_path(&shown.collect::<String>())).then_some(pieces);
    }
    Some(pieces)
}

/// Converts a check. Returns `None` if its path is not plain.
fn check(check: WireCheck) -> Option<CallCheck> {
    let plain = |path: String| (path.starts_with('/') && is_plain_path(&path)).then_some(path);
    Some(match check {
        WireCheck::Repeat => CallCheck::Repeat,
        WireCheck::Found(path) => CallCheck::Found(plain(path)?),
        WireCheck::Changed((path, field, from)) => CallCheck::Changed(plain(path)?, field, from),
        WireCheck::Listed((path, field, value)) => CallCheck::Listed(plain(path)?, field, value),
    })
}

/// Converts a call. Returns `None` if it does not fit the description.
fn call(planned: WireCall, kind: &PlatformKind, description: &PlatformDescription) -> Option<PlannedCall> {
    let step = kind.steps.iter().find(|step| step.name == *planned.step)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-:._".contains(&byte);
    if planned.id.is_empty() || planned.id.len() > MAX_ID_BYTES || !planned.id.bytes().all(plain) {
        return None;
    }
    let undo = match planned.undo {
        None => None,
        Some(undo) => Some(CallUndo {
            method: method(&undo.method)?,
            path: parts(undo.path, description, true)?,
            body: parts(undo.body, description, false)?,
        }),
    };
    Some(PlannedCall {
        step: step.name.clone(),
        method: step.method,
        id: planned.id,
        path: parts(planned.path, description, true)?,
        body: parts(planned.body, description, false)?,
        keeps: planned.keeps,
        check: check(planned.check)?,
        undo,
    })
}

/// Returns true if calls about the same subject are in the order that the steps declare.
fn keeps_step_order(calls: &[(String, String)], kind: &PlatformKind) -> bool {
    calls.iter().enumerate().all(|(index, (subject, step))| {
        let Some(step) = kind.steps.iter().find(|known| known.name == **step) else { return false };
        let mut later = calls[index + 1..].iter().filter(|(of, _)| of == subject);
        later.all(|(_, later)| step.after.iter().all(|earlier| *earlier != **later))
    })
}

/// Converts an expectation. Returns `None` if it does not fit the description.
fn expectation(expected: WireExpectation, description: &PlatformDescription) -> Option<Expectation> {
    let query = description.queries.iter().position(|query| query.name == *expected.query)?;
    let of = &description.queries[query];
    let group = of.groups.iter().find(|(value, _)| *value == expected.group).map(|(_, name)| name.clone());
    let amounts: Vec<_> = expected.amounts.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
    let fits = amounts.len() == of.amounts.len() && (group.is_some() || of.group.is_empty());
    fits.then_some(Expectation { query, id: expected.id, group, amounts })
}

/// Checks the plan of one record: its calls are steps of the kind, in their order, each with an id of its own.
pub(crate) fn check_plan(
    plan: WireEntityPlan,
    kind: &PlatformKind,
    description: &PlatformDescription,
) -> Result<PlannedEntity, &'static str> {
    if plan.calls.len() > MAX_CALLS {
        return Err("a plan has too many calls");
    }
    let order: Vec<(String, String)> =
        plan.calls.iter().map(|call| (call.subject.clone(), call.step.clone())).collect();
    if !keeps_step_order(&order, kind) {
        return Err("the steps of a plan are not in the order of the description");
    }
    let calls: Vec<PlannedCall> = plan
        .calls
        .into_iter()
        .map(|planned| call(planned, kind, description))
        .collect::<Option<_>>()
        .ok_or("a call does not fit the description")?;
    let mut ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("two calls of a plan have the same id");
    }
    let saved = plan
        .saved
        .iter()
        .map(|saved| kind.steps.iter().find(|step| step.name == **saved).map(|step| step.name.clone()));
    Ok(PlannedEntity {
        position: plan.position,
        calls,
        saved: saved.collect::<Option<_>>().ok_or("a plan saves a step that the kind does not have")?,
        expectations: plan
            .expectations
            .into_iter()
            .map(|expected| expectation(expected, description))
            .collect::<Option<_>>()
            .ok_or("an expectation does not fit a query of the description")?,
    })
}
