//! Descriptions of platform plugins, checked once.

use super::description::{DescriptionResult, MAX_FIELDS, bounded, codes, path_name, plugin_name, plugin_version};
use super::vocabulary::Vocabulary;
use super::wire::{WireCallStep, WireCompanion, WireKind, WirePlatformDescription, WireQuery};
use sluice_model::{Code, Name, Version};

/// Maximum number of kinds, steps, companions, queries, settings, headers or sentences.
const MAX_LIST: usize = 100;
/// Maximum length of a sentence, path or body of a description, in bytes.
const MAX_TEXT_BYTES: usize = 1_000;

/// A kind of API call.
#[derive(Clone, Debug)]
pub struct CallStep {
    /// Name.
    pub name: Name,
    /// HTTP method.
    pub method: &'static str,
    /// Path for readers.
    pub path: String,
    /// Steps that must come before this one.
    pub after: Vec<Name>,
}

/// A unit of planning: a main record and its companion records.
#[derive(Clone, Debug)]
pub struct PlatformKind {
    /// Name.
    pub name: Name,
    /// Entity type of the main record.
    pub entity_type: Name,
    /// Entity types of the companion records, each with the field that holds the main record's reference id.
    pub companions: Vec<(Name, String)>,
    /// Kinds of calls that a plan may contain.
    pub steps: Vec<CallStep>,
}

/// A paged query that counts the platform's items.
#[derive(Clone, Debug)]
pub struct PlatformQuery {
    /// Name.
    pub name: Name,
    /// HTTP method.
    pub method: &'static str,
    /// Path without a query string.
    pub path: String,
    /// Body; empty for none.
    pub body: String,
    /// Field of an item that identifies it.
    pub id: String,
    /// Field of an item that holds its state; empty for none.
    pub group: String,
    /// Values of `group`, each with the name under which it is counted.
    pub groups: Vec<(String, Name)>,
    /// Sums: the name of each, and the field that it adds up.
    pub amounts: Vec<(Name, String)>,
}

/// A platform plugin's description.
#[derive(Clone, Debug)]
pub struct PlatformDescription {
    /// Name.
    pub name: Name,
    /// Version.
    pub version: Version,
    /// Kinds in the order of import.
    pub kinds: Vec<PlatformKind>,
    /// Names of the settings, each with true if it is required.
    pub settings: Vec<(Name, bool)>,
    /// Queries for verification.
    pub queries: Vec<PlatformQuery>,
    /// Headers of every call.
    pub headers: Vec<(String, String)>,
    /// Name of the header with the idempotency key.
    pub idempotency_header: String,
    /// Path of the codes in an error response.
    pub error_codes: String,
    /// Codes of an error response that say that the call may have happened.
    pub already: Vec<Code>,
    /// Codes of an error response that say that the call was not tried.
    pub busy: Vec<Code>,
    /// Other codes of the platform that may be shown.
    pub refusals: Vec<Code>,
    /// Prerequisites that the platform's operator must provide, as sentences.
    pub requests: Vec<String>,
    /// Notes about the flow, as sentences.
    pub notes: Vec<String>,
}

/// Returns an HTTP method that a plan may use.
pub(crate) fn method(text: &str) -> Option<&'static str> {
    ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|method| *method == text)
}

/// Checks a name of `what`.
fn name(text: &str, what: &str) -> DescriptionResult<Name> {
    path_name(text).or_else(|| Name::from_description(text)).ok_or_else(|| format!("{what} has no proper name"))
}

/// Checks the length of texts.
fn short(texts: &[&String]) -> DescriptionResult<()> {
    if texts.iter().all(|text| text.len() <= MAX_TEXT_BYTES) {
        Ok(())
    } else {
        Err("a text of its description is too long".into())
    }
}

/// Checks a step.
fn step(described: &WireCallStep) -> DescriptionResult<CallStep> {
    let step = name(&described.name, "a step")?;
    let method = method(&described.method).ok_or_else(|| format!("step {step} has no proper method"))?;
    short(&[&described.path])?;
    let after = described.after.iter().map(|earlier| name(earlier, "a step")).collect::<DescriptionResult<_>>()?;
    Ok(CallStep { name: step, method, path: described.path.clone(), after })
}

/// Checks a kind.
fn kind(described: &WireKind) -> DescriptionResult<PlatformKind> {
    bounded("steps", MAX_LIST, &described.steps)?;
    bounded("companions", MAX_LIST, &described.companions)?;
    let companion = |of: &WireCompanion| Ok((name(&of.entity_type, "a companion")?, of.field.clone()));
    Ok(PlatformKind {
        name: name(&described.name, "a kind")?,
        entity_type: name(&described.entity_type, "an entity type")?,
        companions: described.companions.iter().map(companion).collect::<DescriptionResult<_>>()?,
        steps: described.steps.iter().map(step).collect::<DescriptionResult<_>>()?,
    })
}

/// Checks a query.
fn query(described: WireQuery) -> DescriptionResult<PlatformQuery> {
    let query = name(&described.name, "a query")?;
    let method = method(&described.method).ok_or_else(|| format!("query {query} has no proper method"))?;
    short(&[&described.path, &described.body, &described.id, &described.group])?;
    bounded("groups", MAX_LIST, &described.groups)?;
    bounded("amounts", MAX_LIST, &described.amounts)?;
    Ok(PlatformQuery {
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
            .collect::<DescriptionResult<_>>()?,
        amounts: described
            .amounts
            .into_iter()
            .map(|(sum, field)| Ok((name(&sum, "a sum")?, field)))
            .collect::<DescriptionResult<_>>()?,
    })
}

/// Checks a platform plugin's description. Returns it with the vocabulary of the plugin's later output.
pub fn check_platform(described: WirePlatformDescription) -> DescriptionResult<(PlatformDescription, Vocabulary)> {
    let (name_, version) = (plugin_name(&described.name)?, plugin_version(&described.version)?);
    bounded("kinds", MAX_LIST, &described.kinds)?;
    bounded("queries", MAX_LIST, &described.queries)?;
    bounded("settings", MAX_LIST, &described.settings)?;
    bounded("headers", MAX_LIST, &described.headers)?;
    bounded("requests", MAX_LIST, &described.requests)?;
    bounded("notes", MAX_LIST, &described.notes)?;
    short(&described.requests.iter().chain(&described.notes).collect::<Vec<_>>())?;
    if described.kinds.is_empty() {
        return Err("it has no kind".into());
    }
    let kinds = described.kinds.iter().map(kind).collect::<DescriptionResult<Vec<_>>>()?;
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
            .collect::<DescriptionResult<_>>()?,
        queries: described.queries.into_iter().map(query).collect::<DescriptionResult<_>>()?,
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
