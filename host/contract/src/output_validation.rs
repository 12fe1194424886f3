//! Validation of a plugin's output against its input. Pure functions, because a plugin can return anything.

use std::ops::Range;

use super::wire::{
    Batch, TallyEntry, WireEntityPlan, WireGenerated, WireImportPlan, WireIssue, WireProduced, WireTransformed,
    WireValidated,
};

use super::call_plan::{PlannedEntity, check_plan};
use super::description::MapperDescription;
use super::failure::Cause;
use super::platform::{PlatformDescription, PlatformKind};
use super::vocabulary::{UndeclaredText, Vocabulary};
use sluice_config::PluginLimits;
use sluice_model::{Issue, Name};

/// Result of a check: a value, or the cause and a message for the plugin's author.
pub type OutputCheck<T = ()> = Result<T, (Cause, String)>;

/// Returns a breach of the contract with this message.
fn breach<T>(what: impl Into<String>) -> OutputCheck<T> {
    Err((Cause::BrokeContract, what.into()))
}

/// Returns the records of a batch. Returns `None` if its ends do not fit its bytes.
pub fn unpack(batch: &Batch) -> Option<Vec<&[u8]>> {
    let mut start = 0;
    let mut records = Vec::with_capacity(batch.ends.len());
    for &end in &batch.ends {
        records.push(batch.bytes.get(start..end as usize)?);
        start = end as usize;
    }
    (start == batch.bytes.len()).then_some(records)
}

/// Returns the bytes and ends of part of a batch.
pub fn slice(bytes: &[u8], ends: &[u32], part: &Range<usize>) -> (Vec<u8>, Vec<u32>) {
    let start = if part.start == 0 { 0 } else { ends[part.start - 1] };
    let end = if part.end == 0 { 0 } else { ends[part.end - 1] };
    let ends = ends[part.clone()].iter().map(|end| end - start).collect();
    (bytes[start as usize..end as usize].to_vec(), ends)
}

/// Checks the output of a mapper.
pub fn check_transformed(
    transformed: &WireTransformed,
    records: usize,
    description: &MapperDescription,
    limits: &PluginLimits,
) -> OutputCheck {
    let max_bytes = limits.output_bytes;
    let made = transformed.produced.iter().map(|produced| produced.origins.len());
    let skipped = transformed.skipped.iter().map(|skipped| 1 + skipped.positions.len());
    check_amount(made.chain(skipped).sum::<usize>() + transformed.issues.len(), limits)?;
    let mut bytes = 0;
    for produced in &transformed.produced {
        if described_type(description, &produced.entity_type).is_none() {
            return breach("it returned records of an entity type that it does not describe");
        }
        check_produced(produced, records)?;
        bytes += produced.records.bytes.len();
    }
    if bytes > max_bytes {
        return Err((Cause::TooMuchOutput, format!("it returned {bytes} bytes for a batch; {max_bytes} are allowed")));
    }
    for skipped in &transformed.skipped {
        if skipped.positions.iter().any(|position| *position as usize >= records) {
            return breach(format!("it skipped a record beyond the {records} of the batch"));
        }
    }
    if transformed.issues.iter().any(|issue| issue.position as usize >= records) {
        return breach(format!("it reported an issue for a record beyond the {records} of the batch"));
    }
    Ok(())
}

/// Checks that a plugin has not returned too many items for one batch.
fn check_amount(items: usize, limits: &PluginLimits) -> OutputCheck {
    if items > limits.output_items {
        let message = format!("it returned {items} things for a batch; {} are allowed", limits.output_items);
        return Err((Cause::TooMuchOutput, message));
    }
    Ok(())
}

/// Checks that returned records have as many origins, each within the input.
fn check_produced(produced: &WireProduced, records: usize) -> OutputCheck {
    if unpack(&produced.records).is_none() {
        return breach("it returned a batch whose ends do not fit its bytes");
    }
    if produced.origins.len() != produced.records.ends.len() {
        return breach(format!(
            "it returned {} records with {} origins",
            produced.records.ends.len(),
            produced.origins.len()
        ));
    }
    if produced.origins.iter().any(|origin| *origin as usize >= records) {
        return breach(format!("it returned a record that came from beyond the {records} of the batch"));
    }
    Ok(())
}

/// Checks the output of a validation against its input and the number of the plugin's rules.
pub fn check_validated(validated: &WireValidated, records: usize, rules: usize, limits: &PluginLimits) -> OutputCheck {
    check_amount(validated.issues.len() + validated.tallies.len(), limits)?;
    let tally_fits = |tally: &TallyEntry| (tally.position as usize) < records && (tally.rule as usize) < rules;
    let fits = validated.ids.len() == records * 16
        && all_within(&validated.issues, records)
        && validated.tallies.iter().all(tally_fits);
    if fits { Ok(()) } else { breach("what it found does not fit its batch") }
}

/// Checks a plan of import steps.
pub fn check_steps(planned: &WireImportPlan, records: usize, limits: &PluginLimits) -> OutputCheck {
    check_amount(planned.steps.len() + planned.issues.len(), limits)?;
    let fits = planned.steps.len() == planned.bodies.ends.len()
        && unpack(&planned.bodies).is_some()
        && planned.steps.iter().all(|step| (step.position as usize) < records)
        && all_within(&planned.issues, records);
    if fits { Ok(()) } else { breach("its plan does not fit its batch") }
}

/// Checks generated records against the requested entity type and the input.
pub fn check_generated(
    generated: &WireGenerated,
    entity_type: &str,
    records: usize,
    limits: &PluginLimits,
) -> OutputCheck {
    let made: usize = generated.produced.iter().map(|produced| produced.origins.len()).sum();
    check_amount(made + generated.issues.len(), limits)?;
    for produced in &generated.produced {
        if produced.entity_type != entity_type {
            return breach("it generated another entity type than it was asked for");
        }
        check_produced(produced, records)?;
    }
    if all_within(&generated.issues, records) { Ok(()) } else { breach("what it generated does not fit its batch") }
}

/// Checks plans of calls against their input and the plugin's description.
pub fn check_calls(
    plans: Vec<WireEntityPlan>,
    issues: &[WireIssue],
    records: usize,
    (kind, description): (&PlatformKind, &PlatformDescription),
    limits: &PluginLimits,
) -> OutputCheck<Vec<PlannedEntity>> {
    let calls: usize = plans.iter().map(|plan| plan.calls.len()).sum();
    check_amount(calls + issues.len(), limits)?;
    if plans.iter().any(|plan| plan.position as usize >= records) || !all_within(issues, records) {
        return breach("its plans do not fit their batch");
    }
    plans.into_iter().map(|plan| check_plan(plan, kind, description).or_else(breach)).collect()
}

/// Returns true if all issues are about records of the input.
fn all_within(issues: &[WireIssue], records: usize) -> bool {
    issues.iter().all(|issue| (issue.position as usize) < records)
}

/// Converts a plugin's issue about a record of a source or an entity type to declared codes and names. Returns it with the
/// record's position in the whole batch, of which this part begins at `start`. Adds undeclared texts to `undeclared`.
pub fn issue(
    reported: &WireIssue,
    start: u32,
    stream: &str,
    vocabulary: &Vocabulary,
    undeclared: &mut Vec<UndeclaredText>,
) -> (u32, Issue) {
    let position = reported.position + start;
    let issue = Issue {
        severity: reported.severity.into(),
        code: vocabulary.code(&reported.code, Some(position), undeclared),
        field: vocabulary.path(stream, &reported.field, position, undeclared),
        rule: reported.rule.as_ref().map(|rule| vocabulary.code(rule, Some(position), undeclared)),
        first_line: None,
    };
    (position, issue)
}

/// Returns the entity type with this name, if the mapper describes it.
pub fn described_type<'d>(description: &'d MapperDescription, name: &str) -> Option<&'d Name> {
    description.entity_types.iter().find(|described| **described == *name)
}
