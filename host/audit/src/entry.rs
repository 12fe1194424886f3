//! What an entry says: who did what, when and on what. Its types have no room for what stands in a record.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use sluice_model::{Actor, Digest, JobKind, JobState, Tenant};

/// What was done, or asked for and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// The server started, with these plugins.
    ServerStarted,
    /// The server came to its end as it should.
    ServerStopped,
    /// A request was refused before it was known what it would have done.
    Request,
    /// A migration was registered.
    MigrationRegistered,
    /// A migration was given a mapper, or none.
    MapperSet,
    /// An upload began.
    UploadBegun,
    /// It ended: with what it came to, and the digest of the bytes that came.
    UploadEnded,
    /// An upload was begun that comes in parts.
    UploadCreated,
    /// It was given up, and what had come was removed.
    UploadGivenUp,
    /// Staged records were removed by their reference ids.
    RecordsDeleted,
    /// A job was started, with these plugins.
    JobStarted,
    /// Somebody asked a running job to stop.
    JobCancelAsked,
    /// Somebody asked a running job to wait.
    JobPaused,
    /// Somebody let it go on.
    JobResumed,
    /// Somebody decided on a record that a call to a platform has failed for.
    CallDecided,
    /// A job ended; its state says how.
    JobEnded,
    /// A job was found that a killed server had left running.
    JobFoundInterrupted,
    /// A migration's staging was removed.
    MigrationPurged,
    /// An API client was made.
    ClientMade,
    /// It was given another secret.
    SecretReplaced,
    /// It is let in no longer.
    ClientRevoked,
    /// A backup was begun.
    BackupBegun,
    /// The data directory was restored from a backup.
    BackupRestored,
    /// Tokens are signed with another key from now on.
    TokenKeyReplaced,
    /// A plugin came.
    PluginPushed,
    /// It may take part in imports of a tenant's migrations, or of every tenant's.
    PluginApproved,
    /// It may not any more.
    ApprovalRevoked,
    /// Plugins that are signed with another key are taken.
    PluginKeyAdded,
    /// They are not any more.
    PluginKeyRevoked,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Done,
    /// Somebody may not, or cannot now: the code of the problem that they were told.
    Refused(&'static str),
    /// It was begun and could not be finished: the code of what went wrong.
    Failed(&'static str),
}

/// One entry, before it has a place in a chain.
#[derive(Clone, Debug)]
pub struct Entry {
    at: Timestamp,
    actor: Actor,
    action: Action,
    outcome: Outcome,
    request: Option<Uuid>,
    operation: Option<(&'static str, String)>,
    migration: Option<Uuid>,
    client: Option<String>,
    tenant: Option<Tenant>,
    job: Option<(Uuid, JobKind)>,
    state: Option<JobState>,
    upload: Option<u32>,
    stream: Option<String>,
    plugins: Vec<Digest>,
    body: Option<Digest>,
    figures: Vec<(&'static str, u64)>,
}

/// Longest name or id that is written as it is.
const MAX_NAME_BYTES: usize = 64;

/// Whether this can be a name or an id: letters, digits, `-`, `_` and `.`, and not many.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl Entry {
    /// Something that is done now. Whoever has an id that is no plain one, as another issuer may give them, is
    /// named by its digest.
    pub fn new(actor: Actor, action: Action) -> Self {
        let actor = match actor {
            Actor::Client(id) if !is_name(&id) => Actor::Client(format!("sha256.{}", Digest::of(id.as_bytes()))),
            actor => actor,
        };
        Self {
            at: Timestamp::now(),
            actor,
            action,
            outcome: Outcome::Done,
            request: None,
            operation: None,
            migration: None,
            client: None,
            tenant: None,
            job: None,
            state: None,
            upload: None,
            stream: None,
            plugins: vec![],
            body: None,
            figures: vec![],
        }
    }

    /// It was refused with this problem.
    pub fn refused(mut self, code: &'static str) -> Self {
        self.outcome = Outcome::Refused(code);
        self
    }

    /// It was begun and failed with this problem.
    pub fn failed(mut self, code: &'static str) -> Self {
        self.outcome = Outcome::Failed(code);
        self
    }

    /// In the course of this request.
    pub fn request(mut self, id: Option<Uuid>) -> Self {
        self.request = id;
        self
    }

    /// By this method on the route with this template.
    pub fn operation(mut self, method: &'static str, template: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/{}-_.".contains(&byte);
        self.operation = template.bytes().all(plain).then(|| (method, template.to_owned()));
        self
    }

    /// About this migration, in the chain of the server: whether there is one is not said.
    pub fn migration(mut self, id: Option<Uuid>) -> Self {
        self.migration = id;
        self
    }

    /// About this client. What cannot be an id of ours is left out.
    pub fn client(mut self, id: &str) -> Self {
        self.client = is_name(id).then(|| id.to_owned());
        self
    }

    /// For this tenant; none: for every one.
    pub fn tenant(mut self, tenant: Option<&Tenant>) -> Self {
        self.tenant = tenant.cloned();
        self
    }

    /// About this job.
    pub fn job(mut self, id: Uuid, kind: JobKind) -> Self {
        self.job = Some((id, kind));
        self
    }

    /// The job is now in this state.
    pub fn state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// About this upload.
    pub fn upload(mut self, number: u32) -> Self {
        self.upload = Some(number);
        self
    }

    /// About this source or entity type, as a plugin names it. What cannot be such a name is left out.
    pub fn stream(mut self, name: &str) -> Self {
        self.stream = is_name(name).then(|| name.to_owned());
        self
    }

    /// With plugins of these digests.
    pub fn plugins(mut self, digests: impl IntoIterator<Item = Digest>) -> Self {
        self.plugins.extend(digests);
        self
    }

    /// Of a body with this digest.
    pub fn body(mut self, digest: Digest) -> Self {
        self.body = Some(digest);
        self
    }

    /// With this figure.
    pub fn figure(mut self, name: &'static str, figure: u64) -> Self {
        self.figures.push((name, figure));
        self
    }

    /// When it was done.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// The members of the entry's line, in their order, from the actor on.
    pub(super) fn shown(&self) -> impl Serialize + '_ {
        let (outcome, code) = match self.outcome {
            Outcome::Done => ("done", None),
            Outcome::Refused(code) => ("refused", Some(code)),
            Outcome::Failed(code) => ("failed", Some(code)),
        };
        Shown {
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

#[derive(Serialize)]
struct Shown<'a> {
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
