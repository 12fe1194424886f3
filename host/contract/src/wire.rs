//! Values that cross the plugin boundary, as defined in `wit/`. They are plain types, so that checks need no engine.

use serde::{Deserialize, Serialize};
use sluice_model::Severity;

/// Records, concatenated. A thousand records cross the boundary as two copies.
///
/// Record `i` is `bytes[ends[i - 1]..ends[i]]`, where `ends[-1]` is 0. `ends` never decreases, and its last element is
/// the length of `bytes`. A record is one JSON object in UTF-8 without a trailing newline. A position is an index into
/// `ends`. A plugin that returns `ends` which do not fit `bytes` breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Bytes of all records, in order, without separators.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// End of each record in `bytes`, as a byte offset.
    pub ends: Vec<u32>,
}

/// Constants of a migration. The same context and the same input give the same output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Reference id of the migration, 16 bytes. It is the namespace of every derived reference id.
    #[serde(with = "serde_bytes")]
    pub migration: Vec<u8>,
    /// Day on which the migration was registered, `yyyy-MM-dd`. A plugin has no other "today".
    pub registered_on: String,
}

/// Effect of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireSeverity {
    /// The record is not staged or not imported. After validation of the migration, the migration cannot be imported
    /// until the record is corrected.
    Error,
    /// The issue is listed and stops nothing.
    Warning,
}

impl From<WireSeverity> for Severity {
    fn from(severity: WireSeverity) -> Self {
        match severity {
            WireSeverity::Error => Self::Error,
            WireSeverity::Warning => Self::Warning,
        }
    }
}

/// An issue of one record. It names a code and a field and never quotes a value, because the readers of issues may not
/// see personal data.
///
/// The host enforces this. It shows a code that the description does not declare as `UNDECLARED_CODE`, and replaces the
/// rest of a path from the first undeclared name on by `?`. It keeps the original text for the plugin's author in the
/// migration's own directory, with the quarantined records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireIssue {
    /// Position of the record in the batch that was passed in.
    pub position: u32,
    /// Effect of the issue.
    pub severity: WireSeverity,
    /// Code of the platform, listed in `codes.txt`, or code that the description declares.
    pub code: String,
    /// Path of the field, such as `addresses[0].postalCode`. It consists of declared names, of indexes below 10,000,
    /// and of `?` for a name that must not be shown. It is empty for the record as a whole.
    pub field: String,
    /// Code of the broken rule if `code` is `RULE_VIOLATION`. The description declares it as well.
    pub rule: Option<String>,
}

/// New records of one entity type, each with the position of the record that it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireProduced {
    /// Entity type of all of `records`.
    pub entity_type: String,
    /// The new records.
    pub records: Batch,
    /// Position in the input batch that each record came from. As many elements as there are records.
    pub origins: Vec<u32>,
}

/// A table of the old system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSource {
    /// Name of the source in the path of an upload, such as `client`: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Names of the fields that identify a record, at least one. A record that is uploaded again with the same key
    /// replaces the earlier one.
    pub key: Vec<String>,
    /// Names of further fields. `source-lookup.find` finds records by the value of each of them.
    pub lookups: Vec<String>,
    /// Names of the fields that issues may name, at most 2,000. A nested field counts by its own name. The fields of
    /// `key` and `lookups` need not be repeated.
    pub fields: Vec<String>,
}

/// Description of a mapper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireMapperDescription {
    /// Name of the mapper, such as `berka`: lower-case letters, digits, `-` and `_`. By convention the mapper's own
    /// codes start with it in upper case.
    pub name: String,
    /// Version of the mapper, for readers: at most 32 letters, digits and `.-+`. The host identifies a mapper by its
    /// digest.
    pub version: String,
    /// Sources in the recommended order of upload, at least one: a source comes after those it looks up.
    pub sources: Vec<WireSource>,
    /// Entity types that the mapper produces.
    pub entity_types: Vec<String>,
    /// The mapper's own codes: of issues, rules, skips and log entries. At most 500, each of at most 64 of `A`-`Z`,
    /// `0`-`9` and `_`. The codes of the platform, listed in `codes.txt`, need not be repeated.
    pub codes: Vec<String>,
}

/// Source records that the mapper deliberately does not migrate, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSkipped {
    /// Reason: one of the description's `codes`.
    pub code: String,
    /// Positions of the skipped records.
    pub positions: Vec<u32>,
}

/// Result of `transform`.
///
/// Every record of the batch is in `produced`, in `skipped`, or has an issue of severity `error`. The host rejects
/// every other record with the code `NOT_ACCOUNTED_FOR`, so no record is lost silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireTransformed {
    /// Domain records that the mapper made. Their entity types are among the description's `entity-types`.
    pub produced: Vec<WireProduced>,
    /// Source records that the mapper skipped.
    pub skipped: Vec<WireSkipped>,
    /// Issues of source records.
    pub issues: Vec<WireIssue>,
}

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// An exact decimal, stored as text.
    Decimal,
    /// True or false.
    Boolean,
    /// A day, `yyyy-MM-dd`, stored as text.
    Date,
    /// A reference id, stored as text.
    Id,
    /// A nested value, stored as JSON text.
    Json,
}

/// A column of an entity type's table: a scalar of the record, or a nested value as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireColumn {
    /// Name in snake case, unique in the table.
    pub name: String,
    /// Path of the value in the record: names of fields joined by `.`, such as `amount.currency`.
    pub path: String,
    /// Type of the column.
    pub kind: ColumnKind,
}

/// A field that holds reference ids of an entity type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Path of the field, with `[]` for each list on the way, such as `borrowers[].counterpartyReferenceId`.
    pub path: String,
    /// Entity type that the ids refer to.
    pub entity_type: String,
}

/// An entity type of the domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireEntityType {
    /// Name, a plural in kebab case, such as `debit-mandates`. It is used in paths, and in snake case it is the name of
    /// the table.
    pub name: String,
    /// Columns in the order of the table. The first column is the reference id.
    pub columns: Vec<WireColumn>,
    /// References to other records. The host derives the order of import from them: a record is imported after the
    /// records it refers to.
    pub references: Vec<Reference>,
    /// Paths of money values that verification adds up by currency, such as `facilities[].amount`.
    pub amounts: Vec<String>,
    /// Names of all fields, at most 2,000. Issues may name them. A nested field counts by its own name.
    pub fields: Vec<String>,
}

/// A verification count: the number of records of an entity type for each value of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireCountGroup {
    /// Name of the count, such as `TotalCounterparties`.
    pub name: String,
    /// Entity type of the counted records.
    pub entity_type: String,
    /// Name of a top-level scalar field, such as `type`.
    pub field: String,
    /// Values that are counted separately. Records with any other value are counted together as `OTHER`.
    pub values: Vec<String>,
}

/// A rule over many records: the amounts of the tallies with the same key must not add up to more than their limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireTallyRule {
    /// Code of the rule, such as `DISBURSED_MORE_THAN_FACILITY`. It need not be repeated in `codes`.
    pub code: String,
    /// Severity of an issue of this rule.
    pub severity: WireSeverity,
    /// Path of the field that an issue names, made of declared names.
    pub field: String,
}

/// A kind of record that `importing.generate` makes from imported records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireGeneration {
    /// Entity type of the new records.
    pub entity_type: String,
    /// Entity type whose imported records are passed to `generate`.
    pub source: String,
    /// Further entity types that must be imported before `generate` is called.
    pub after: Vec<String>,
    /// Names of the source's fields that issues of `generate` may name.
    pub fields: Vec<String>,
}

/// Description of a domain plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireDomainDescription {
    /// Name of the plugin, such as `counterparties`: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Version of the plugin, for readers: at most 32 letters, digits and `.-+`.
    pub version: String,
    /// Name of the domain in the API, such as `Counterparties`.
    pub domain: String,
    /// Entity types of the domain, at least one.
    pub entity_types: Vec<WireEntityType>,
    /// Verification counts.
    pub count_groups: Vec<WireCountGroup>,
    /// Rules over many records.
    pub tally_rules: Vec<WireTallyRule>,
    /// Kinds of records that the plugin generates.
    pub generations: Vec<WireGeneration>,
    /// The plugin's own codes: of issues, rules and log entries. The limits are those of a mapper's `codes`.
    pub codes: Vec<String>,
}

/// Contribution of one record to a `tally-rule`. A rule of uniqueness has amounts of 1 and a limit of 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyEntry {
    /// Position of the record.
    pub position: u32,
    /// Index of the rule in `tally-rules`.
    pub rule: u32,
    /// 16 bytes, as two numbers of which the first has the high-order bytes. Tallies with the same key belong together.
    pub key: (u64, u64),
    /// Amount. Money is in the minor unit of its currency.
    pub amount: i64,
    /// Largest permitted sum of the amounts with this key, in the same unit.
    pub limit: i64,
}

/// Result of `validate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireValidated {
    /// Reference id of each record, 16 bytes per record, concatenated. Sixteen zero bytes stand for a record without a
    /// readable reference id.
    #[serde(with = "serde_bytes")]
    pub ids: Vec<u8>,
    /// Issues of the records.
    pub issues: Vec<WireIssue>,
    /// Contributions to rules over many records. Empty in scope `record`.
    pub tallies: Vec<TallyEntry>,
}

/// Effect of a step on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireOperation {
    /// The host inserts the body as a row of the entity type's table, or updates the row if it differs.
    Store,
}

/// One step of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireImportStep {
    /// Position of the record that the step belongs to.
    pub position: u32,
    /// Effect on the target.
    pub operation: WireOperation,
}

/// Result of `plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireImportPlan {
    /// Steps in the order of their execution.
    pub steps: Vec<WireImportStep>,
    /// Body of each step. As many bodies as there are steps. An empty body stands for the unchanged record.
    pub bodies: Batch,
    /// Issues of records. The host does not import a record with an issue of severity `error`.
    pub issues: Vec<WireIssue>,
}

/// Result of `generate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireGenerated {
    /// New records, all of the requested entity type.
    pub produced: Vec<WireProduced>,
    /// Issues of the source records that were passed in.
    pub issues: Vec<WireIssue>,
}

/// A kind of staged record that is planned together with the main record of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireCompanion {
    /// Entity type of the companion records.
    pub entity_type: String,
    /// Their top-level field that holds the reference id of the main record.
    pub field: String,
}

/// A kind of API call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireCallStep {
    /// Name for readers, in lower case, such as `loan-creation`.
    pub name: String,
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Path for readers, such as `/loans/{id}:changeState`.
    pub path: String,
    /// Steps that must come before this one in a plan, if the plan has calls of them with the same subject. The host
    /// rejects a plan in any other order.
    pub after: Vec<String>,
}

/// A unit of planning: a main record and its companion records become one ordered list of calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireKind {
    /// Name, such as `loans`.
    pub name: String,
    /// Entity type of the main record.
    pub entity_type: String,
    /// Companion records.
    pub companions: Vec<WireCompanion>,
    /// Names of the record's fields that issues may name, at most 2,000. A nested field counts by its own name.
    pub fields: Vec<String>,
    /// Kinds of calls that a plan may contain.
    pub steps: Vec<WireCallStep>,
}

/// A value that the operator of the server configures for the platform, such as the key of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSetting {
    /// Name of the setting.
    pub name: String,
    /// True if the platform cannot be used without the setting.
    pub required: bool,
}

/// A paged query that counts the platform's items after an import. The host adds `offset` and `limit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireQuery {
    /// Name, such as `loans`.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Path without a query string.
    pub path: String,
    /// Body. Empty for none.
    pub body: String,
    /// Field of an item that identifies it, such as `externalId`.
    pub id: String,
    /// Field of an item that holds its state, such as `accountState`. Empty for none.
    pub group: String,
    /// Values of `group`, each with the name under which the host counts it. All other values are counted together.
    pub groups: Vec<(String, String)>,
    /// Sums: the name of each, and the field that it adds up, such as `balances.principalBalance`.
    pub amounts: Vec<(String, String)>,
}

/// Description of a platform plugin. Each list has at most 100 elements, except lists of codes and of fields. A
/// sentence, path or body has at most 1,000 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePlatformDescription {
    /// Name of the platform, such as `mambu`: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Version of the plugin, for readers: at most 32 letters, digits and `.-+`.
    pub version: String,
    /// Kinds in the order of import, at least one: a kind comes after the kinds whose answers it needs.
    pub kinds: Vec<WireKind>,
    /// Settings that the operator may or must configure.
    pub settings: Vec<WireSetting>,
    /// Queries for verification.
    pub queries: Vec<WireQuery>,
    /// Headers of every call: names and values.
    pub headers: Vec<(String, String)>,
    /// Name of the header that carries the idempotency key of a `POST`.
    pub idempotency_header: String,
    /// Path of the codes in an error response, such as `errors[].errorReason`.
    pub error_codes: String,
    /// Codes of an error response that say that the call may have happened before.
    pub already: Vec<String>,
    /// Codes of an error response that say that the call was not tried. The host repeats the call later.
    pub busy: Vec<String>,
    /// All other codes of the platform that the host may show.
    pub refusals: Vec<String>,
    /// The plugin's own codes of issues. The limits are those of a mapper's `codes`.
    pub codes: Vec<String>,
    /// Prerequisites that the migration team requests from the platform's operator, as sentences.
    pub requests: Vec<String>,
    /// Notes about the flow, as sentences: its differences from what a reader expects.
    pub notes: Vec<String>,
}

/// A reference to a value that the host kept from the response to an earlier call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireAnswer {
    /// Kind of the record whose plan has that call.
    pub kind: String,
    /// Reference id of that record, 16 bytes.
    pub id: Vec<u8>,
    /// Name under which the value was kept.
    pub name: String,
}

/// A part of a path or body. The concatenated parts are a path, or a body in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WirePart {
    /// Literal text that is the same for every record: structure and fixed values.
    Constant(String),
    /// Literal text with a value of a record. The host sends it and never shows it.
    Value(String),
    /// A value of an earlier response. In a body it becomes a JSON string.
    Answer(WireAnswer),
}

/// Method of finding out whether a call happened after its response was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireCheck {
    /// No check. A repeated call has the same result.
    Repeat,
    /// The call happened if something exists at this path.
    Found(String),
    /// The call happened if the object at this path has another value in this field: path, field, value.
    Changed((String, String, String)),
    /// The call happened if an item of the paged list at this path has this value in this field: path, field, value.
    Listed((String, String, String)),
}

/// The call that takes back another call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireUndo {
    /// HTTP method.
    pub method: String,
    /// Path.
    pub path: Vec<WirePart>,
    /// Body. Empty for none.
    pub body: Vec<WirePart>,
}

/// A planned API call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireCall {
    /// Name of one of the kind's steps.
    pub step: String,
    /// Id of the platform's object that the call is about, such as a loan's id.
    pub subject: String,
    /// Id of the call, unique in the plan: 1 to 100 letters, digits and `-:._`.
    pub id: String,
    /// Path, which starts with `/`.
    pub path: Vec<WirePart>,
    /// Body. Empty for none.
    pub body: Vec<WirePart>,
    /// Fields of the response to keep, and the name to keep each under. They are keys of the platform, never values of
    /// a record.
    pub keeps: Vec<(String, String)>,
    /// Method of finding out whether the call happened.
    pub check: WireCheck,
    /// The call that takes this one back. None if taking back an earlier call of the plan takes this one back as well.
    pub undo: Option<WireUndo>,
}

/// An item that the platform must have after the import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireExpectation {
    /// Name of the query that finds the item.
    pub query: String,
    /// Value of the query's `id` field.
    pub id: String,
    /// Value of the query's `group` field: one of the query's `groups`. Empty if the query has no group.
    pub group: String,
    /// Exact decimals, one for each of the query's `amounts`, in the same order.
    pub amounts: Vec<String>,
}

/// The plan of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireEntityPlan {
    /// Position of the record.
    pub position: u32,
    /// Calls in order, at most 10,000.
    pub calls: Vec<WireCall>,
    /// Names of the steps that flow `every-step` has and this plan saves, one for each saved call.
    pub saved: Vec<String>,
    /// Items that the platform must have after the import.
    pub expectations: Vec<WireExpectation>,
}

/// Result of `plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireCallPlans {
    /// Plans of records without an error.
    pub plans: Vec<WireEntityPlan>,
    /// Issues of records. The host sends no call for a record with an issue of severity `error`.
    pub issues: Vec<WireIssue>,
}
