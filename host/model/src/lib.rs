//! The words of a migration, pure: no IO, no plugin, no HTTP.
//!
//! Whatever leaves a migration's own directory is made of [`Figure`], [`Code`], [`Name`], [`FieldPath`] and
//! [`Detail`], and none of these can be made of text out of a record. A value that does not fit one of them does
//! not belong in a log, an issue, a report or a problem document.

mod actor;
mod client;
mod detail;
mod digest;
mod domain;
mod figure;
mod grant;
mod hex;
mod issue;
mod job;
mod migration;
mod plugin;
mod status;
mod upload;
mod words;

pub use actor::{Actor, Permission};
pub use client::{Client, SecretHash};
pub use detail::{Detail, Tellable};
pub use digest::Digest;
pub use domain::{DOMAINS, Domain};
pub use figure::{Cell, Figure, Report};
pub use grant::{Grant, NoTenant, Tenant};
pub use hex::{from_hex, to_hex};
pub use issue::{Blame, Issue, Level, Severity};
pub use job::{Job, JobKind, JobState, Progress};
pub use migration::Migration;
pub use plugin::{Approval, ChosenMapper, KeptPlugin, LimitOverrides, Origin, PluginKey, World};
pub use status::{Event, ImportStatus, Refusal, StagingStatus, Status};
pub use upload::{Outcome, Produced, RecordResult};
pub use words::{Code, Currency, FieldName, FieldPath, Name, Step, Title, UNDECLARED_CODE, Version};
