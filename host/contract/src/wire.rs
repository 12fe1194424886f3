//! Values as they cross the plugin boundary, in the shapes of `wit/`: plain types, so that checks need no engine.

use sluice_model::Severity;

/// Records packed end to end, so that a thousand of them cross the boundary as two copies.
///
/// Record `i` is `bytes[ends[i - 1]..ends[i]]`, with `ends[-1]` taken as 0. `ends` never
/// decreases and its last element is the length of `bytes`. A record is one JSON object in UTF-8
/// without a trailing newline. A position is an index into `ends`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The `bytes`.
    pub bytes: Vec<u8>,
    /// The `ends`.
    pub ends: Vec<u32>,
}

/// What a call is made for. The same context and the same input give the same output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The migration's reference id, 16 bytes: the namespace of every derived reference id.
    pub migration: Vec<u8>,
    /// The day on which the migration was registered, `yyyy-MM-dd`: the only "today" there is.
    pub registered_on: String,
}

/// The `severity` of interface `types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireSeverity {
    /// The record cannot be staged, or the migration not imported, until it is corrected.
    Error,
    /// Worth a look; stops nothing.
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

/// What is wrong with one record. It names places and never quotes values: issues are read by
/// people who may not see personal data.
///
/// That is held to, and not only asked for: a code that the description does not declare is shown as
/// `UNDECLARED_CODE`, and a path only as far as it is made of declared names. What the plugin said
/// instead is kept in the migration's own directory, with the quarantined records, for its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireIssue {
    /// The record's position in the batch that was passed in.
    pub position: u32,
    /// The `severity`.
    pub severity: WireSeverity,
    /// One of the platform's codes, in `codes.txt`, or one that the description declares.
    pub code: String,
    /// Path of the field, such as `addresses[0].postalCode`, made of declared names, indexes below 10,000
    /// and `?` for a name that may not be told; empty for the record as a whole.
    pub field: String,
    /// The rule's own code, declared as well, where `code` is `RULE_VIOLATION`.
    pub rule: Option<String>,
}

/// New records, each with the position of the record it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireProduced {
    /// Entity type of all of `records`.
    pub entity_type: String,
    /// The `records`.
    pub records: Batch,
    /// As many as there are records: the position in the input batch that each came from.
    pub origins: Vec<u32>,
}

/// A table of the old system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSource {
    /// Its name in the upload's path, such as `client`.
    pub name: String,
    /// Fields that identify a record. A record uploaded again with the same key replaces the first.
    pub key: Vec<String>,
    /// Further single fields by which `source-lookup.find` may ask for records.
    pub lookups: Vec<String>,
    /// Names of its fields that issues may name, at most 2,000, nested ones by their own names; those of
    /// `key` and `lookups` are among them anyway.
    pub fields: Vec<String>,
}

/// The `description` of interface `mapping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireMapperDescription {
    /// Lower-case name, such as `berka`. Codes of its own start with it in upper case.
    pub name: String,
    /// Version of the mapper, for people: at most 32 letters, digits and `.-+`. What counts is the digest.
    pub version: String,
    /// In the order in which they should be uploaded: a source comes after those it looks up.
    pub sources: Vec<WireSource>,
    /// The entity types it produces.
    pub entity_types: Vec<String>,
    /// Every code of its own: of issues, rules, skips and log entries. At most 500, each at most 64 of
    /// `A`-`Z`, `0`-`9` and `_`. The platform's own, in `codes.txt`, need not be among them.
    pub codes: Vec<String>,
}

/// Records that are rightly not migrated, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSkipped {
    /// One of the description's `codes`.
    pub code: String,
    /// The `positions`.
    pub positions: Vec<u32>,
}

/// Every record of the batch is in `produced`, in `skipped` or has an issue of severity `error`.
/// One that is in none of them is rejected as `NOT_ACCOUNTED_FOR`: nothing is dropped in silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireTransformed {
    /// The `produced`.
    pub produced: Vec<WireProduced>,
    /// The `skipped`.
    pub skipped: Vec<WireSkipped>,
    /// The `issues`.
    pub issues: Vec<WireIssue>,
}

/// The `column-kind` of interface `validation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// The case `text`.
    Text,
    /// The case `integer`.
    Integer,
    /// An exact decimal, kept as text.
    Decimal,
    /// The case `boolean`.
    Boolean,
    /// `yyyy-MM-dd`, kept as text.
    Date,
    /// A reference id, kept as text.
    Id,
    /// Anything nested, kept as JSON text.
    Json,
}

/// A scalar, or a nested value as JSON, of a record as a column of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireColumn {
    /// Snake-case name, unique in its table.
    pub name: String,
    /// Where the value stands in the record: field names joined by `.`, such as `amount.currency`.
    pub path: String,
    /// The `kind`.
    pub kind: ColumnKind,
}

/// A field that holds reference ids of an entity type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Path with `[]` for each list on the way, such as `borrowers[].counterpartyReferenceId`.
    pub path: String,
    /// The `entity-type`.
    pub entity_type: String,
}

/// The `entity-type` of interface `validation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireEntityType {
    /// Kebab-case plural, such as `debit-mandates`: its name in paths, and in snake case its table.
    pub name: String,
    /// In the order of the table. The first is the reference id.
    pub columns: Vec<WireColumn>,
    /// The order of import follows from these: what is referred to comes first.
    pub references: Vec<Reference>,
    /// Paths of money values to add up by currency in verification, such as `facilities[].amount`.
    pub amounts: Vec<String>,
    /// Names of all its fields, nested ones by their own names: what issues may name. At most 2,000.
    pub fields: Vec<String>,
}

/// A verification count: records of an entity type by the value of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireCountGroup {
    /// Such as `TotalCounterparties`.
    pub name: String,
    /// The `entity-type`.
    pub entity_type: String,
    /// A single top-level scalar field, such as `type`.
    pub field: String,
    /// Every value that the field has: records with any other are counted together, as `OTHER`.
    pub values: Vec<String>,
}

/// A rule over many records: the amounts with the same key may not add up to more than the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireTallyRule {
    /// The rule's code, such as `DISBURSED_MORE_THAN_FACILITY`. It need not be among `codes` as well.
    pub code: String,
    /// The `severity`.
    pub severity: WireSeverity,
    /// The field that an issue names, made of names of declared fields.
    pub field: String,
}

/// Records made from imported ones, by `importing.generate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireGeneration {
    /// The `entity-type`.
    pub entity_type: String,
    /// The entity type whose imported records are passed to `generate`.
    pub source: String,
    /// Entity types that must have been imported before.
    pub after: Vec<String>,
    /// Names of the source's fields that issues of `generate` may name.
    pub fields: Vec<String>,
}

/// The `description` of interface `validation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireDomainDescription {
    /// Lower-case name, such as `counterparties`.
    pub name: String,
    /// At most 32 letters, digits and `.-+`.
    pub version: String,
    /// The domain as the API names it, such as `Counterparties`.
    pub domain: String,
    /// The `entity-types`.
    pub entity_types: Vec<WireEntityType>,
    /// The `count-groups`.
    pub count_groups: Vec<WireCountGroup>,
    /// The `tally-rules`.
    pub tally_rules: Vec<WireTallyRule>,
    /// The `generations`.
    pub generations: Vec<WireGeneration>,
    /// Every code of its own: of issues, rules and log entries, as in a mapper's description.
    pub codes: Vec<String>,
}

/// The `scope` of interface `validation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The record on its own: shape, formats, rules between its fields. Lookups are not offered.
    Record,
    /// All of that, and its references and rules that need other records.
    Migration,
}

/// One record's part in a `tally-rule`. A rule that says "unique" is an amount of 1 with a limit of 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The `position`.
    pub position: u32,
    /// Index into `tally-rules`.
    pub rule: u32,
    /// 16 bytes, equal for what belongs together.
    pub key: (u64, u64),
    /// In the currency's minor unit where it is money.
    pub amount: i64,
    /// The `limit`.
    pub limit: i64,
}

/// The `validated` of interface `validation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireValidated {
    /// 16 bytes a record: its reference id, or zeros where it has none that can be read.
    pub ids: Vec<u8>,
    /// The `issues`.
    pub issues: Vec<WireIssue>,
    /// Empty in scope `record`.
    pub tallies: Vec<Tally>,
}

/// The `operation` of interface `importing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireOperation {
    /// Insert the body as a row of the entity type's table, or update it where it differs.
    Store,
}

/// The `step` of interface `importing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireImportStep {
    /// The record that it belongs to.
    pub position: u32,
    /// The `operation`.
    pub operation: WireOperation,
}

/// The `planned` of interface `importing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireImportPlan {
    /// Steps in the order in which they are to be carried out.
    pub steps: Vec<WireImportStep>,
    /// As many bodies as there are steps. An empty body stands for the record as it is.
    pub bodies: Batch,
    /// A record with an error is not imported.
    pub issues: Vec<WireIssue>,
}

/// The `generated` of interface `importing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireGenerated {
    /// The `produced`.
    pub produced: Vec<WireProduced>,
    /// The `issues`.
    pub issues: Vec<WireIssue>,
}

/// Staged records that go with each record of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireCompanion {
    /// The `entity-type`.
    pub entity_type: String,
    /// Their top-level field that holds the reference id of the record they go with.
    pub field: String,
}

/// One kind of call. A step's name is what people read: lower case, such as `loan-creation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireCallStep {
    /// The `name`.
    pub name: String,
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Its path for people, such as `/loans/{id}:changeState`.
    pub path: String,
    /// Steps that come first, where there are calls of them about the same thing at the platform: a plan in
    /// another order is refused.
    pub after: Vec<String>,
}

/// What is planned at a time: a record and those that go with it become one ordered list of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireKind {
    /// Such as `loans`.
    pub name: String,
    /// The `entity-type`.
    pub entity_type: String,
    /// The `companions`.
    pub companions: Vec<WireCompanion>,
    /// Names of the record's fields that issues may name, nested ones by their own names.
    pub fields: Vec<String>,
    /// The `steps`.
    pub steps: Vec<WireCallStep>,
}

/// A value that whoever runs the server sets for the platform, such as the key of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSetting {
    /// The `name`.
    pub name: String,
    /// The `required`.
    pub required: bool,
}

/// How the platform is asked afterwards what is there, page by page: `offset` and `limit` are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireQuery {
    /// Such as `loans`.
    pub name: String,
    /// The `method`.
    pub method: String,
    /// The `path`.
    pub path: String,
    /// The `body`.
    pub body: String,
    /// Field of an item by which it is known again, such as `externalId`.
    pub id: String,
    /// Field that says how it stands, such as `accountState`.
    pub group: String,
    /// Every value that it has, and as what it is counted: others are counted together.
    pub groups: Vec<(String, String)>,
    /// Names of sums, and the field that each adds up, such as `balances.principalBalance`.
    pub amounts: Vec<(String, String)>,
}

/// The `description` of interface `calling`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WirePlatformDescription {
    /// Lower-case name, such as `mambu`.
    pub name: String,
    /// The `version`.
    pub version: String,
    /// In the order in which they are brought in: a kind comes after those whose answers it needs.
    pub kinds: Vec<WireKind>,
    /// The `settings`.
    pub settings: Vec<WireSetting>,
    /// The `queries`.
    pub queries: Vec<WireQuery>,
    /// Headers of every call.
    pub headers: Vec<(String, String)>,
    /// Header that carries a call's idempotency key, on `POST`.
    pub idempotency_header: String,
    /// Where in an answer that refuses its codes stand, such as `errors[].errorReason`.
    pub error_codes: String,
    /// Codes of an answer that mean that it may have happened already.
    pub already: Vec<String>,
    /// Codes of an answer that mean: not now, ask again.
    pub busy: Vec<String>,
    /// All other codes of the platform that may be shown.
    pub refusals: Vec<String>,
    /// Codes of the plugin's own issues.
    pub codes: Vec<String>,
    /// What whoever migrates has to ask the platform for beforehand, as sentences.
    pub requests: Vec<String>,
    /// What is to be known of the flow, as sentences: where it departs from what one would expect.
    pub notes: Vec<String>,
}

/// An answer that an earlier call has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireAnswer {
    /// The `kind`.
    pub kind: String,
    /// Reference id of the record whose plan had that call, 16 bytes.
    pub id: Vec<u8>,
    /// The `name`.
    pub name: String,
}

/// A piece of a path or body. What is put together from them is JSON, or a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WirePart {
    /// As it is: structure, and values that are the same for everybody.
    Constant(String),
    /// As it is, and out of a record: it is sent, and shown to nobody.
    Value(String),
    /// What an earlier answer held: in a body as a JSON string.
    Answer(WireAnswer),
}

/// How to find out whether a call happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireCheck {
    /// It need not be found out: made again, it comes to the same.
    Repeat,
    /// It happened if there is something at this path.
    Found(String),
    /// It happened if what is at this path has another value in this field (path, field, value).
    Changed((String, String, String)),
    /// It happened if one of the items listed at this path, page by page, has this value in this field.
    Listed((String, String, String)),
}

/// The `undo` of interface `calling`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireUndo {
    /// The `method`.
    pub method: String,
    /// The `path`.
    pub path: Vec<WirePart>,
    /// The `body`.
    pub body: Vec<WirePart>,
}

/// The `call` of interface `calling`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireCall {
    /// One of the kind's steps.
    pub step: String,
    /// What it is about at the platform, such as a loan's id.
    pub subject: String,
    /// What it is known by, unique in the plan: letters, digits and `-:._`, at most 100.
    pub id: String,
    /// The `path`.
    pub path: Vec<WirePart>,
    /// Empty for none.
    pub body: Vec<WirePart>,
    /// Fields of the answer to keep, each under a name: keys of the platform, and nothing out of a record.
    pub keeps: Vec<(String, String)>,
    /// The `check`.
    pub check: WireCheck,
    /// How to take it back; none where taking back an earlier call does.
    pub undo: Option<WireUndo>,
}

/// What is to be found at the platform afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireExpectation {
    /// The `query`.
    pub query: String,
    /// The `id`.
    pub id: String,
    /// The `group`.
    pub group: String,
    /// Exact decimals, in the order of the query's amounts.
    pub amounts: Vec<String>,
}

/// The `entity-plan` of interface `calling`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireEntityPlan {
    /// The record that it is the plan of.
    pub position: u32,
    /// The `calls`.
    pub calls: Vec<WireCall>,
    /// Steps of the flow with every step that this one does without, one for each call that is saved.
    pub saved: Vec<String>,
    /// The `expectations`.
    pub expectations: Vec<WireExpectation>,
}

/// The `planned` of interface `calling`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireCallPlans {
    /// The `plans`.
    pub plans: Vec<WireEntityPlan>,
    /// A record with an error is not sent.
    pub issues: Vec<WireIssue>,
}

/// Which flow to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFlow {
    /// With as few calls as it can be done.
    Fewest,
    /// With a call for every step.
    EveryStep,
}
