//! The plan as a document: what a platform asks whoever migrates, and what it would answer, without a call being made.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use super::calls::Planner;
use super::masked::{masked_body, masked_path};
use super::{Desk, Stop};
use crate::ConnectedPlatform;
use sluice_contract::{PlannedCall, Query};
use sluice_model::{Figure, Name, Progress};
use sluice_staging::StreamName;

/// The list beside the journal that documents are kept in, a line each; the last one counts.
pub const PLAN: &str = "plan";

/// What the document is to answer beside what it says anyway.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Hours into which the import has to fit.
    pub window_hours: Option<f64>,
}

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    platform: Name,
    host: String,
    plugin: String,
    digest: String,
    made_at: String,
    flow: &'static str,
    volumes: Vec<Volume>,
    calls: u64,
    calls_by_step: Vec<StepCalls>,
    left_out: u64,
    best_flow: BestFlow,
    duration: Duration,
    sample_calls: Vec<Sample>,
    verification: Vec<Verification>,
    ask_the_platform: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
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

/// What the flow with the fewest calls does without, of the flow with a call for every step.
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
struct Duration {
    calls_per_second: u32,
    parallel_calls: usize,
    hours_a_day: f64,
    seconds: f64,
    days: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    hours: f64,
    fits: bool,
    calls_per_second_needed: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    step: Name,
    method: &'static str,
    path: String,
    body: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    query: Name,
    method: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    calls: u64,
    expected: Vec<Group>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    group: Name,
    count: u64,
    sums: BTreeMap<Name, String>,
}

/// What planning has come to so far.
#[derive(Default)]
struct Found {
    calls: BTreeMap<(usize, Name), u64>,
    saved: BTreeMap<(usize, Name), u64>,
    samples: BTreeMap<(usize, Name), PlannedCall>,
    /// By query and group: how many, and their sums.
    expected: BTreeMap<(usize, Name), (u64, Vec<Decimal>)>,
}

/// Plans everything and keeps the document beside the migration; its figures.
pub fn platform_plan(
    desk: &Desk,
    platform: &ConnectedPlatform,
    asked: Asked,
    progress: &Progress,
) -> Result<Figure, Stop> {
    let described = &platform.plugin.description;
    let mut volumes = vec![];
    for kind in &described.kinds {
        for entity_type in [&kind.entity_type].into_iter().chain(kind.companions.iter().map(|(name, _)| name)) {
            let records = desk.area.count(StreamName::Records(entity_type))?;
            volumes.push(Volume { entity_type: entity_type.clone(), records });
        }
    }
    let mut planner = Planner::new(desk, platform, false, progress)?;
    let mut found = Found::default();
    for (index, kind) in described.kinds.iter().enumerate() {
        planner.plan(kind, progress, &mut |plans| {
            progress.advance(plans.len() as u64);
            plans.into_iter().for_each(|record| found.add(index, record.plan));
            Ok(())
        })?;
    }
    let document = document(platform, asked, volumes, &found, planner.left_out);
    let text = serde_json::to_vec(&document)
        .map_err(|error| sluice_staging::StagingError::from(std::io::Error::from(error)))?;
    desk.area.append_lines(PLAN, [text.as_slice()])?;
    Ok(Figure::table([
        ("calls", Figure::from(document.calls)),
        ("callsSaved", document.best_flow.calls_saved.into()),
        ("seconds", document.duration.seconds.into()),
        ("leftOut", document.left_out.into()),
    ]))
}

impl Found {
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
    asked: Asked,
    volumes: Vec<Volume>,
    found: &Found,
    left_out: u64,
) -> Document {
    let (config, plugin) = (&platform.config, &platform.plugin);
    let described = &plugin.description;
    let (calls, saved) = (found.calls.values().sum::<u64>(), found.saved.values().sum::<u64>());
    let rate = f64::from(config.calls_per_second);
    let seconds = calls as f64 / rate;
    let hours_a_day = platform.hours_a_day();
    let window = asked.window_hours.map(|hours| {
        let needed = calls as f64 / (hours * 3_600.0);
        Window { hours, fits: needed <= rate, calls_per_second_needed: rounded(needed) }
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
            sample_calls.extend(found.samples.get(&place).map(|call| Sample {
                step: step.name.clone(),
                method: call.method,
                path: masked_path(&call.path),
                body: masked_body(&call.body),
            }));
        }
    }
    let verification =
        described.queries.iter().enumerate().map(|(index, query)| verification(index, query, found, config.page_items));
    Document {
        platform: platform.name.clone(),
        host: platform.host(),
        plugin: plugin.title().to_string(),
        digest: plugin.digest.to_string(),
        made_at: jiff::Timestamp::now().to_string(),
        flow: config.flow.as_str(),
        volumes,
        calls,
        calls_by_step,
        left_out,
        best_flow: BestFlow {
            calls_with_every_step: calls + saved,
            calls_saved: saved,
            saved_percent: rounded(saved as f64 * 100.0 / (calls + saved).max(1) as f64),
            saved_seconds: rounded(saved as f64 / rate),
        },
        duration: Duration {
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

fn verification(index: usize, query: &Query, found: &Found, page: u64) -> Verification {
    let groups = found.expected.iter().filter(|((of, _), _)| *of == index);
    let expected: Vec<Group> = groups
        .map(|((_, group), (count, sums))| Group {
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
    Verification {
        query: query.name.clone(),
        method: query.method,
        path: format!("{}?offset={{offset}}&limit={page}", query.path),
        body: RawValue::from_string(query.body.clone()).ok(),
        calls: items / page + 1,
        expected,
    }
}
