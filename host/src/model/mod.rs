//! The words of a migration, pure: no IO, no plugin, no HTTP.

mod actor;
mod client;
mod domain;
mod grant;
mod issue;
mod job;
mod migration;
mod status;
mod upload;

pub use actor::{Actor, Permission};
pub use client::{Client, SecretHash};
pub use domain::{DOMAINS, Domain};
pub use grant::{Grant, NoTenant, Tenant};
pub use issue::{Blame, Issue, Severity};
pub use job::{Job, JobKind, JobState, Progress};
pub use migration::Migration;
pub use status::{Event, ImportStatus, Refusal, StagingStatus, Status};
pub use upload::{Outcome, Produced, RecordResult};
