//! The plan as a document: volumes, calls by step, duration and verification of an import into a platform. It is made
//! without a call.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use super::call_planner::CallPlanner;
use super::redact::{redacted_body, redacted_path};
use crate::ConnectedPlatform;
use crate::{Interrupt, MigrationContext};
use sluice_contract::{PlannedCall, PlatformQuery};
use sluice_model::{Name, Progress, SafeValue};
use sluice_staging::StreamName;

/// Name of the list of documents in the migration's directory. Each line is a document; the last one is current.
pub const PLAN: &str = "plan";

/// Options of a plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions {
    /// Hours in which the import has to be completed.
    pub window_hours: Option<f64>,
    /// Day on which the import is to be done.
    pub migrate_on: Option<Date>,
    /// Day of the rehearsal.
    pub rehearse_on: Option<Date>,
}

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument {
    platform: Name,
    host: String,
    plugin: String,
    digest: String,
    made_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    migrate_on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rehearse_on: Option<String>,
    flow: &'static str,
    volumes: Vec<PlanVolume>,
    calls: u64,
    calls_by_step: Vec<StepCalls>,
    skipped: u64,
    best_flow: BestFlow,
    duration: PlanDuration,
    sample_calls: Vec<SampleCall>,
    verification: Vec<PlanVerification>,
    ask_the_platform: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanVolume {
    entity_type: Name,
    records: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepCalls {
    kind: Name,
    step: Name,
    method: &'static str,
    path: String,
    calls: u64,
    saved: u64,
}

/// Calls that the flow with the fewest calls saves, compared with a call for every step.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BestFlow {
    calls_with_every_step: u64,
    calls_saved: u64,
    saved_percent: f64,
    saved_seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDuration {
    calls_per_second: u32,
    parallel_calls: usize,
    hours_a_day: f64,
    seconds: f64,
    days: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<PlanWindow>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanWindow {
    hours: f64,
    fits: bool,
    calls_per_second_needed: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleCall {
    step: Name,
    method: &'static str,
    path: String,
    body: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanVerification {
    query: Name,
    method: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    calls: u64,
    expected: Vec<PlanGroup>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanGroup {
    group: Name,
    count: u64,
    sums: BTreeMap<Name, String>,
}

/// Totals of all plans.
#[derive(Default)]
struct PlanTotals {
    calls: BTreeMap<(usize, Name), u64>,
    saved: BTreeMap<(usize, Name), u64>,
    samples: BTreeMap<(usize, Name), PlannedCall>,
    /// Number of items and their sums, by query and group.
    expected: BTreeMap<(usize, Name), (u64, Vec<Decimal>)>,
}

/// Plans all records, saves the document beside the migration, and returns its figures.
pub fn platform_plan(
    context: &MigrationContext,
    platform: &ConnectedPlatform,
    options: PlanOptions,
    progress: &Progress,
) -> Result<SafeValue, Interrupt> {
    let described = &platform.plugin.description;
    let mut volumes = vec![];
    for kind in &described.kinds {
        for entity_type in [&kind.entity_type].into_iter().chain(kind.companions.iter().map(|(name, _)| name)) {
            let records = context.area.count(StreamName::Records(entity_type))?;
            volumes.push(PlanVolume { entity_type: entity_type.clone(), records });
        }
    }
    let mut planner = CallPlanner::new(context, platform, false, progress)?;
    let mut found = PlanTotals::default();
    for (index, kind) in described.kinds.iter().enumerate() {
        planner.plan(kind, progress, &mut |plans| {
            progress.advance(plans.len() as u64);
            plans.into_iter().for_each(|record| found.add(index, record.plan));
            Ok(())
        })?;
    }
    let document = document(platform, options, volumes, &found, planner.skipped);
    let text = serde_json::to_vec(&document)
        .map_err(|error| sluice_staging::StagingError::from(std::io::Error::from(error)))?;
    context.area.append_lines(PLAN, [text.as_slice()])?;
    Ok(SafeValue::table([
        ("calls", SafeValue::from(document.calls)),
        ("callsSaved", document.best_flow.calls_saved.into()),
        ("seconds", document.duration.seconds.into()),
        ("leftOut", document.skipped.into()),
    ]))
}

impl PlanTotals {
    fn add(&mut self, kind: usize, plan: sluice_contract::PlannedEntity) {
        for call in plan.calls {
            let step = (kind, call.step.clone());
            *self.calls.entry(step.clone()).or_default() += 1;
            self.samples.entry(step).or_insert(call);
        }
        for saved in plan.saved {
            *self.saved.entry((kind, saved)).or_default() += 1;
        }
        for expected in plan.expectations {
            let group = (expected.query, expected.group.unwrap_or(Name::new("")));
            let (count, sums) = self.expected.entry(group).or_default();
            *count += 1;
            sums.resize(expected.amounts.len(), Decimal::ZERO);
            sums.iter_mut().zip(expected.amounts).for_each(|(sum, amount)| *sum += amount);
        }
    }
}

fn document(
    platform: &ConnectedPlatform,
    options: PlanOptions,
    volumes: Vec<PlanVolume>,
    found: &PlanTotals,
    skipped: u64,
) -> PlanDocument {
    let (config, plugin) = (&platform.config, &platform.plugin);
    let described = &plugin.description;
    let (calls, saved) = (found.calls.values().sum::<u64>(), found.saved.values().sum::<u64>());
    let rate = f64::from(config.calls_per_second);
    let seconds = calls as f64 / rate;
    let hours_a_day = platform.hours_a_day();
    let window = options.window_hours.map(|hours| {
        let needed = calls as f64 / (hours * 3_600.0);
        PlanWindow { hours, fits: needed <= rate, calls_per_second_needed: rounded(needed) }
    });
    let mut calls_by_step = vec![];
    let mut sample_calls = vec![];
    for (index, kind) in described.kinds.iter().enumerate() {
        for step in &kind.steps {
            let place = (index, step.name.clone());
            let of = |counts: &BTreeMap<(usize, Name), u64>| counts.get(&place).copied().unwrap_or(0);
            calls_by_step.push(StepCalls {
                kind: kind.name.clone(),
                step: step.name.clone(),
                method: step.method,
                path: step.path.clone(),
                calls: of(&found.calls),
                saved: of(&found.saved),
            });
            sample_calls.extend(found.samples.get(&place).map(|call| SampleCall {
                step: step.name.clone(),
                method: call.method,
                path: redacted_path(&call.path),
                body: redacted_body(&call.body),
            }));
        }
    }
    let verification =
        described.queries.iter().enumerate().map(|(index, query)| verification(index, query, found, config.page_items));
    PlanDocument {
        platform: platform.name.clone(),
        host: platform.host(),
        plugin: plugin.title().to_string(),
        digest: plugin.digest.to_string(),
        made_at: jiff::Timestamp::now().to_string(),
        migrate_on: options.migrate_on.map(|day| day.to_string()),
        rehearse_on: options.rehearse_on.map(|day| day.to_string()),
        flow: config.flow.as_str(),
        volumes,
        calls,
        calls_by_step,
        skipped,
        best_flow: BestFlow {
            calls_with_every_step: calls + saved,
            calls_saved: saved,
            saved_percent: rounded(saved as f64 * 100.0 / (calls + saved).max(1) as f64),
            saved_seconds: rounded(saved as f64 / rate),
        },
        duration: PlanDuration {
            calls_per_second: config.calls_per_second,
            parallel_calls: config.parallel_calls,
            hours_a_day: rounded(hours_a_day),
            seconds: rounded(seconds),
            days: rounded(seconds / (hours_a_day * 3_600.0)),
            window,
        },
        sample_calls,
        verification: verification.collect(),
        ask_the_platform: described.requests.clone(),
        notes: described.notes.clone(),
    }
}

fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

fn verification(index: usize, query: &PlatformQuery, found: &PlanTotals, page: u64) -> PlanVerification {
    let groups = found.expected.iter().filter(|((of, _), _)| *of == index);
    let expected: Vec<PlanGroup> = groups
        .map(|((_, group), (count, sums))| PlanGroup {
            group: group.clone(),
            count: *count,
            sums: query
                .amounts
                .iter()
                .map(|(name, _)| name.clone())
                .zip(sums.iter().map(ToString::to_string))
                .collect(),
        })
        .collect();
    let items: u64 = expected.iter().map(|group| group.count).sum();
    PlanVerification {
        query: query.name.clone(),
        method: query.method,
        path: format!("{}?offset={{offset}}&limit={page}", query.path),
        body: RawValue::from_string(query.body.clone()).ok(),
        calls: items / page + 1,
        expected,
    }
}
