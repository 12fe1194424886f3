//! What a platform plugin says of itself, checked once, and what is made of its plans.

use super::description::{Checked, MAX_FIELDS, bounded, codes, path_name, plugin_name, plugin_version};
use super::vocabulary::Vocabulary;
use super::wire::{WireCallStep, WireCompanion, WireKind, WirePlatformDescription, WireQuery};
use sluice_model::{Code, Name, Version};

/// Kinds, steps, companions, queries, settings, headers or sentences that a plugin may describe.
const MOST: usize = 100;
/// Longest sentence, path or body of a description, in bytes.
const MOST_TEXT: usize = 1_000;

/// A kind of call.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name.
    pub name: Name,
    /// HTTP method.
    pub method: &'static str,
    /// Its path for people.
    pub path: String,
    /// Steps that come first.
    pub after: Vec<Name>,
}

/// What is planned at a time.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name.
    pub name: Name,
    /// The entity type whose records are planned.
    pub entity_type: Name,
    /// Entity types that go with them, and the field that says with which.
    pub companions: Vec<(Name, String)>,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// How the platform is asked what is there.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its name.
    pub name: Name,
    /// HTTP method.
    pub method: &'static str,
    /// Path.
    pub path: String,
    /// Body; empty for none.
    pub body: String,
    /// Field by which an item is known again.
    pub id: String,
    /// Field by which items are counted; empty for none.
    pub group: String,
    /// Its values, and as what each is counted.
    pub groups: Vec<(String, Name)>,
    /// Sums: names, and the fields that are added up.
    pub amounts: Vec<(Name, String)>,
}

/// A platform plugin's description.
#[derive(Clone, Debug)]
pub struct PlatformDescription {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// What it plans, in order.
    pub kinds: Vec<Kind>,
    /// What has to be or may be set for it; whether it has to be.
    pub settings: Vec<(Name, bool)>,
    /// How the platform is asked afterwards.
    pub queries: Vec<Query>,
    /// Headers of every call.
    pub headers: Vec<(String, String)>,
    /// Header of the idempotency key.
    pub idempotency_header: String,
    /// Where an answer's codes stand.
    pub error_codes: String,
    /// Codes that mean that it may have happened.
    pub already: Vec<Code>,
    /// Codes that mean: not now.
    pub busy: Vec<Code>,
    /// Other codes that may be shown.
    pub refusals: Vec<Code>,
    /// What has to be asked for beforehand.
    pub requests: Vec<String>,
    /// What is to be known of the flow.
    pub notes: Vec<String>,
}

/// An HTTP method that a plan may name.
pub fn method(text: &str) -> Option<&'static str> {
    ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|method| *method == text)
}

fn name(text: &str, what: &str) -> Checked<Name> {
    path_name(text).or_else(|| Name::declared(text)).ok_or_else(|| format!("{what} has no proper name"))
}

fn short(texts: &[&String]) -> Checked<()> {
    if texts.iter().all(|text| text.len() <= MOST_TEXT) {
        Ok(())
    } else {
        Err("a text of its description is too long".into())
    }
}

fn step(described: &WireCallStep) -> Checked<Step> {
    let step = name(&described.name, "a step")?;
    let method = method(&described.method).ok_or_else(|| format!("step {step} has no proper method"))?;
    short(&[&described.path])?;
    let after = described.after.iter().map(|earlier| name(earlier, "a step")).collect::<Checked<_>>()?;
    Ok(Step { name: step, method, path: described.path.clone(), after })
}

fn kind(described: &WireKind) -> Checked<Kind> {
    bounded("steps", MOST, &described.steps)?;
    bounded("companions", MOST, &described.companions)?;
    let companion = |of: &WireCompanion| Ok((name(&of.entity_type, "a companion")?, of.field.clone()));
    Ok(Kind {
        name: name(&described.name, "a kind")?,
        entity_type: name(&described.entity_type, "an entity type")?,
        companions: described.companions.iter().map(companion).collect::<Checked<_>>()?,
        steps: described.steps.iter().map(step).collect::<Checked<_>>()?,
    })
}

fn query(described: WireQuery) -> Checked<Query> {
    let query = name(&described.name, "a query")?;
    let method = method(&described.method).ok_or_else(|| format!("query {query} has no proper method"))?;
    short(&[&described.path, &described.body, &described.id, &described.group])?;
    bounded("groups", MOST, &described.groups)?;
    bounded("amounts", MOST, &described.amounts)?;
    Ok(Query {
        name: query,
        method,
        path: described.path,
        body: described.body,
        id: described.id,
        group: described.group,
        groups: described
            .groups
            .into_iter()
            .map(|(value, as_)| Ok((value, name(&as_, "a group")?)))
            .collect::<Checked<_>>()?,
        amounts: described
            .amounts
            .into_iter()
            .map(|(sum, field)| Ok((name(&sum, "a sum")?, field)))
            .collect::<Checked<_>>()?,
    })
}

/// What a platform plugin says of itself, and may say later of records of its kinds.
pub fn check_platform(described: WirePlatformDescription) -> Checked<(PlatformDescription, Vocabulary)> {
    let (name_, version) = (plugin_name(&described.name)?, plugin_version(&described.version)?);
    bounded("kinds", MOST, &described.kinds)?;
    bounded("queries", MOST, &described.queries)?;
    bounded("settings", MOST, &described.settings)?;
    bounded("headers", MOST, &described.headers)?;
    bounded("requests", MOST, &described.requests)?;
    bounded("notes", MOST, &described.notes)?;
    short(&described.requests.iter().chain(&described.notes).collect::<Vec<_>>())?;
    if described.kinds.is_empty() {
        return Err("it has no kind".into());
    }
    let kinds = described.kinds.iter().map(kind).collect::<Checked<Vec<_>>>()?;
    let mut vocabulary = Vocabulary::new(codes(&described.codes)?);
    for (kind, of) in kinds.iter().zip(&described.kinds) {
        bounded("fields of a kind", MAX_FIELDS, &of.fields)?;
        vocabulary.add_fields(&kind.name, &of.fields);
    }
    let description = PlatformDescription {
        name: name_,
        version,
        kinds,
        settings: described
            .settings
            .iter()
            .map(|of| Ok((name(&of.name, "a setting")?, of.required)))
            .collect::<Checked<_>>()?,
        queries: described.queries.into_iter().map(query).collect::<Checked<_>>()?,
        headers: described.headers,
        idempotency_header: described.idempotency_header,
        error_codes: described.error_codes,
        already: codes(&described.already)?,
        busy: codes(&described.busy)?,
        refusals: codes(&described.refusals)?,
        requests: described.requests,
        notes: described.notes,
    };
    Ok((description, vocabulary))
}
