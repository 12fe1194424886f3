//! Audit entries: actor, action, time and object. Their types cannot hold text of a record.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use sluice_model::{Actor, Digest, JobKind, JobState, Tenant};

/// An action that was done, refused or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// The server started, with these plugins.
    ServerStarted,
    /// The server stopped in an orderly way.
    ServerStopped,
    /// The server refused a request before it knew the action.
    Request,
    /// A migration was registered.
    MigrationRegistered,
    /// The mapper of a migration was set or removed.
    MapperSet,
    /// An upload began.
    UploadBegun,
    /// An upload ended. The entry has its counts and the digest of the received bytes.
    UploadEnded,
    /// An upload was withdrawn, with everything that it brought. The entry has the number of records that went.
    UploadWithdrawn,
    /// A resumable upload was created.
    UploadCreated,
    /// A resumable upload was cancelled, and its received bytes were removed.
    UploadGivenUp,
    /// A client read records, quarantined records or differences.
    RecordsRead,
    /// Staged records were deleted by their reference ids.
    RecordsDeleted,
    /// A job was started, with these plugins.
    JobStarted,
    /// A client requested that a running job stops.
    JobCancelAsked,
    /// A client paused a running job.
    JobPaused,
    /// A client resumed a paused job.
    JobResumed,
    /// A client decided about a record for which a call to a platform failed.
    CallDecided,
    /// A job ended. The entry has its state.
    JobEnded,
    /// The server found a job that a killed server had left running.
    JobFoundInterrupted,
    /// The staged records of a migration were erased.
    MigrationPurged,
    /// An API client was created.
    ClientMade,
    /// The secret of an API client was replaced.
    SecretReplaced,
    /// An API client was revoked.
    ClientRevoked,
    /// A backup began.
    BackupBegun,
    /// The data directory was restored from a backup.
    BackupRestored,
    /// The key that signs tokens was replaced.
    TokenKeyReplaced,
    /// A plugin was pushed.
    PluginPushed,
    /// A plugin was approved for imports of one tenant or of every tenant.
    PluginApproved,
    /// An approval was revoked.
    ApprovalRevoked,
    /// A key that verifies plugins was added.
    PluginKeyAdded,
    /// A key that verifies plugins was revoked.
    PluginKeyRevoked,
    /// An operator let the records of a tenant refer to rows of another tenant. The entry has both.
    ReferenceGrantGiven,
    /// An operator took such a grant back.
    ReferenceGrantTaken,
}

/// The outcome of an action.
#[derive(Clone, Copy, Debug)]
enum ActionOutcome {
    Done,
    /// The server refused the action with this problem code.
    Refused(&'static str),
    /// The action began and failed with this code.
    Failed(&'static str),
}

/// An audit entry, before it is appended to a chain.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    at: Timestamp,
    actor: Actor,
    action: Action,
    outcome: ActionOutcome,
    request: Option<Uuid>,
    operation: Option<(&'static str, String)>,
    migration: Option<Uuid>,
    client: Option<String>,
    tenant: Option<Tenant>,
    owner: Option<Tenant>,
    job: Option<(Uuid, JobKind)>,
    state: Option<JobState>,
    upload: Option<u32>,
    stream: Option<String>,
    plugins: Vec<Digest>,
    body: Option<Digest>,
    figures: Vec<(&'static str, u64)>,
}

/// Maximum length in bytes of a name or an id that is written unchanged.
const MAX_NAME_BYTES: usize = 64;

/// Returns true if the text is a plain name or id: at most 64 letters, digits, `-`, `_` and `.`.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl AuditEntry {
    /// Makes an entry of an action that is done now. A client id that is not plain, such as one of an external issuer,
    /// is replaced by its digest.
    pub fn new(actor: Actor, action: Action) -> Self {
        let actor = match actor {
            Actor::Client(id) if !is_name(&id) => Actor::Client(format!("sha256.{}", Digest::of(id.as_bytes()))),
            actor => actor,
        };
        Self {
            at: Timestamp::now(),
            actor,
            action,
            outcome: ActionOutcome::Done,
            request: None,
            operation: None,
            migration: None,
            client: None,
            tenant: None,
            owner: None,
            job: None,
            state: None,
            upload: None,
            stream: None,
            plugins: vec![],
            body: None,
            figures: vec![],
        }
    }

    /// Marks the action as refused with this problem code.
    pub fn refused(mut self, code: &'static str) -> Self {
        self.outcome = ActionOutcome::Refused(code);
        self
    }

    /// Marks the action as failed with this code.
    pub fn failed(mut self, code: &'static str) -> Self {
        self.outcome = ActionOutcome::Failed(code);
        self
    }

    /// Adds the id of the request.
    pub fn request(mut self, id: Option<Uuid>) -> Self {
        self.request = id;
        self
    }

    /// Adds the method and the route template of the request.
    pub fn operation(mut self, method: &'static str, template: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/{}-_.".contains(&byte);
        self.operation = template.bytes().all(plain).then(|| (method, template.to_owned()));
        self
    }

    /// Adds a migration id. Used in the server's chain, where the id need not belong to an existing migration.
    pub fn migration(mut self, id: Option<Uuid>) -> Self {
        self.migration = id;
        self
    }

    /// Adds the client that the action concerns. An id that is not plain is omitted.
    pub fn client(mut self, id: &str) -> Self {
        self.client = is_name(id).then(|| id.to_owned());
        self
    }

    /// Adds the tenant. `None` is every tenant.
    pub fn tenant(mut self, tenant: Option<&Tenant>) -> Self {
        self.tenant = tenant.cloned();
        self
    }

    /// Adds the tenant that owns the rows which a reference grant concerns.
    pub fn owner(mut self, owner: &Tenant) -> Self {
        self.owner = Some(owner.clone());
        self
    }

    /// Adds the job.
    pub fn job(mut self, id: Uuid, kind: JobKind) -> Self {
        self.job = Some((id, kind));
        self
    }

    /// Adds the state of the job.
    pub fn state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// Adds the upload, by its number in the migration.
    pub fn upload(mut self, number: u32) -> Self {
        self.upload = Some(number);
        self
    }

    /// Adds a source or an entity type. A name that is not plain is omitted.
    pub fn stream(mut self, name: &str) -> Self {
        self.stream = is_name(name).then(|| name.to_owned());
        self
    }

    /// Adds plugins by their digests.
    pub fn plugins(mut self, digests: impl IntoIterator<Item = Digest>) -> Self {
        self.plugins.extend(digests);
        self
    }

    /// Adds the digest of the received bytes.
    pub fn body(mut self, digest: Digest) -> Self {
        self.body = Some(digest);
        self
    }

    /// Adds a count.
    pub fn figure(mut self, name: &'static str, figure: u64) -> Self {
        self.figures.push((name, figure));
        self
    }

    /// Returns the id of the client that performs the action, if a client does. An id that is not plain is replaced by its
    /// digest.
    pub fn actor_client(&self) -> Option<&str> {
        match &self.actor {
            Actor::Client(id) => Some(id),
            Actor::Operator | Actor::Server | Actor::Unknown => None,
        }
    }

    /// Returns the time of the action.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns the members of the entry's line, in their order, from `at` on.
    pub(super) fn fields(&self) -> impl Serialize + '_ {
        let (outcome, code) = match self.outcome {
            ActionOutcome::Done => ("done", None),
            ActionOutcome::Refused(code) => ("refused", Some(code)),
            ActionOutcome::Failed(code) => ("failed", Some(code)),
        };
        EntryFields {
            at: self.at.to_string(),
            actor: &self.actor,
            action: self.action,
            outcome,
            code,
            request: self.request,
            operation: self.operation.as_ref().map(|(method, template)| format!("{method} {template}")),
            migration: self.migration,
            client: self.client.as_deref(),
            tenant: self.tenant.as_ref(),
            owner: self.owner.as_ref(),
            job: self.job.map(|(id, _)| id),
            kind: self.job.map(|(_, kind)| kind),
            state: self.state,
            upload: self.upload,
            stream: self.stream.as_deref(),
            plugins: &self.plugins,
            body: self.body,
            figures: self.figures.iter().copied().collect(),
        }
    }
}

/// The members of an entry's line.
#[derive(Serialize)]
struct EntryFields<'a> {
    at: String,
    actor: &'a Actor,
    action: Action,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    migration: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a Tenant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a Tenant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<JobKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<JobState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Digest]>::is_empty")]
    plugins: &'a [Digest],
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Digest>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    figures: std::collections::BTreeMap<&'static str, u64>,
}
