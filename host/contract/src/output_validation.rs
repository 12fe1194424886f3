//! What a plugin returned, checked against what it was given: pure, as a plugin can return anything.

use std::ops::Range;

use super::wire::{
    Batch, Tally, WireEntityPlan, WireGenerated, WireImportPlan, WireIssue, WireProduced, WireTransformed,
    WireValidated,
};

use super::call_plan::{PlannedEntity, planned};
use super::description::MapperDescription;
use super::failure::Cause;
use super::platform::{Kind, PlatformDescription};
use super::vocabulary::{Undeclared, Vocabulary};
use sluice_config::PluginLimits;
use sluice_model::{Issue, Name};

/// Nothing, or what is wrong: why, and in words for the plugin's author.
pub type Fits<T = ()> = Result<T, (Cause, String)>;

/// What breaks the contract, in a sentence.
fn broke<T>(what: impl Into<String>) -> Fits<T> {
    Err((Cause::BrokeContract, what.into()))
}

/// The records of a batch; none if its ends do not fit its bytes.
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

/// Whether what a mapper returned fits what it was given.
pub fn check_transformed(
    transformed: &WireTransformed,
    records: usize,
    description: &MapperDescription,
    limits: &PluginLimits,
) -> Fits {
    let max_bytes = limits.output_bytes;
    let made = transformed.produced.iter().map(|produced| produced.origins.len());
    let skipped = transformed.skipped.iter().map(|skipped| 1 + skipped.positions.len());
    check_amount(made.chain(skipped).sum::<usize>() + transformed.issues.len(), limits)?;
    let mut bytes = 0;
    for produced in &transformed.produced {
        if described_type(description, &produced.entity_type).is_none() {
            return broke("it returned records of an entity type that it does not describe");
        }
        check_produced(produced, records)?;
        bytes += produced.records.bytes.len();
    }
    if bytes > max_bytes {
        return Err((Cause::TooMuchOutput, format!("it returned {bytes} bytes for a batch; {max_bytes} are allowed")));
    }
    for skipped in &transformed.skipped {
        if skipped.positions.iter().any(|position| *position as usize >= records) {
            return broke(format!("it skipped a record beyond the {records} of the batch"));
        }
    }
    if transformed.issues.iter().any(|issue| issue.position as usize >= records) {
        return broke(format!("it reported an issue for a record beyond the {records} of the batch"));
    }
    Ok(())
}

/// Whether a plugin has not returned too many things for one batch.
fn check_amount(items: usize, limits: &PluginLimits) -> Fits {
    if items > limits.output_items {
        let told = format!("it returned {items} things for a batch; {} are allowed", limits.output_items);
        return Err((Cause::TooMuchOutput, told));
    }
    Ok(())
}

/// Whether records that a plugin returned are as many as it says, each from one that it was given.
fn check_produced(produced: &WireProduced, records: usize) -> Fits {
    if unpack(&produced.records).is_none() {
        return broke("it returned a batch whose ends do not fit its bytes");
    }
    if produced.origins.len() != produced.records.ends.len() {
        return broke(format!(
            "it returned {} records with {} origins",
            produced.records.ends.len(),
            produced.origins.len()
        ));
    }
    if produced.origins.iter().any(|origin| *origin as usize >= records) {
        return broke(format!("it returned a record that came from beyond the {records} of the batch"));
    }
    Ok(())
}

/// Whether what validation returned fits what it was given, and the plugin's number of rules.
pub fn check_validated(validated: &WireValidated, records: usize, rules: usize, limits: &PluginLimits) -> Fits {
    check_amount(validated.issues.len() + validated.tallies.len(), limits)?;
    let tally_fits = |tally: &Tally| (tally.position as usize) < records && (tally.rule as usize) < rules;
    let fits = validated.ids.len() == records * 16
        && all_within(&validated.issues, records)
        && validated.tallies.iter().all(tally_fits);
    if fits { Ok(()) } else { broke("what it found does not fit its batch") }
}

/// Whether a plan of steps fits what it was given.
pub fn check_steps(planned: &WireImportPlan, records: usize, limits: &PluginLimits) -> Fits {
    check_amount(planned.steps.len() + planned.issues.len(), limits)?;
    let fits = planned.steps.len() == planned.bodies.ends.len()
        && unpack(&planned.bodies).is_some()
        && planned.steps.iter().all(|step| (step.position as usize) < records)
        && all_within(&planned.issues, records);
    if fits { Ok(()) } else { broke("its plan does not fit its batch") }
}

/// Whether what was generated is what was asked for, and fits what it was made from.
pub fn check_generated(generated: &WireGenerated, entity_type: &str, records: usize, limits: &PluginLimits) -> Fits {
    let made: usize = generated.produced.iter().map(|produced| produced.origins.len()).sum();
    check_amount(made + generated.issues.len(), limits)?;
    for produced in &generated.produced {
        if produced.entity_type != entity_type {
            return broke("it generated another entity type than it was asked for");
        }
        check_produced(produced, records)?;
    }
    if all_within(&generated.issues, records) { Ok(()) } else { broke("what it generated does not fit its batch") }
}

/// Plans of calls, where they fit what they were made for and the plugin's description.
pub fn check_calls(
    plans: Vec<WireEntityPlan>,
    issues: &[WireIssue],
    records: usize,
    (kind, description): (&Kind, &PlatformDescription),
    limits: &PluginLimits,
) -> Fits<Vec<PlannedEntity>> {
    let calls: usize = plans.iter().map(|plan| plan.calls.len()).sum();
    check_amount(calls + issues.len(), limits)?;
    if plans.iter().any(|plan| plan.position as usize >= records) || !all_within(issues, records) {
        return broke("its plans do not fit their batch");
    }
    plans.into_iter().map(|plan| planned(plan, kind, description).or_else(broke)).collect()
}

fn all_within(issues: &[WireIssue], records: usize) -> bool {
    issues.iter().all(|issue| (issue.position as usize) < records)
}

/// A plugin's issue about a record of this source or entity type, in words that it has declared, with the record's
/// position in the batch of which this part begins at `start`.
pub fn issue(
    said: &WireIssue,
    start: u32,
    stream: &str,
    vocabulary: &Vocabulary,
    undeclared: &mut Vec<Undeclared>,
) -> (u32, Issue) {
    let position = said.position + start;
    let issue = Issue {
        severity: said.severity.into(),
        code: vocabulary.code(&said.code, Some(position), undeclared),
        field: vocabulary.path(stream, &said.field, position, undeclared),
        rule: said.rule.as_ref().map(|rule| vocabulary.code(rule, Some(position), undeclared)),
    };
    (position, issue)
}

/// The entity type with this name, if the mapper describes it.
pub fn described_type<'d>(description: &'d MapperDescription, name: &str) -> Option<&'d Name> {
    description.entity_types.iter().find(|described| **described == *name)
}
