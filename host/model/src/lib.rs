//! The vocabulary of a migration: ids, codes, statuses, state machines, jobs, issues and digests. It performs no IO
//! and knows no plugin engine and no transport.
//!
//! Text of a record stays in the directory of its migration. Logs, issues, reports and error messages are therefore
//! made of [`SafeValue`], [`Code`], [`Name`], [`FieldPath`] and [`Message`], and none of these can be made of text out
//! of a record. A value that fits none of these types does not belong in a log, an issue, a report or a message.

mod actor;
mod client;
mod digest;
mod domain;
mod grant;
mod header_name;
mod hex;
mod issue;
mod job;
mod message;
mod migration;
mod plugin;
mod printable;
mod progress;
mod record_outcome;
mod safe_value;
mod status;
mod upload_lines;
mod words;

pub use actor::{Actor, Permission};
pub use client::{ApiClient, SecretHash};
pub use digest::Digest;
pub use domain::{DOMAINS, Domain};
pub use grant::{Grant, InvalidTenantName, Tenant};
pub use header_name::HeaderName;
pub use hex::{from_hex, to_hex};
pub use issue::{Blame, Issue, Level, Severity};
pub use job::{Job, JobKind, JobState};
pub use message::{Message, SafeText};
pub use migration::{Migration, MigrationOwner};
pub use plugin::{Approval, LimitOverrides, MapperRef, PluginKey, PluginOrigin, RegisteredPlugin, World};
pub use printable::{printable, printable_line};
pub use progress::Progress;
pub use record_outcome::{ProducedRecord, RecordOutcome, RecordResult, TablePlace};
pub use safe_value::{Cell, SafeReport, SafeValue};
pub use status::{ImportStatus, MigrationEvent, MigrationStatus, StagingStatus, TransitionRefusal};
pub use upload_lines::UploadLines;
pub use words::{Code, Currency, FieldName, FieldPath, Name, PathStep, PluginTitle, UNDECLARED_CODE, Version};
