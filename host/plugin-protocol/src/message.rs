//! Requests of the server, and replies of a worker.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use sluice_config::PluginLimits;
use sluice_contract::Cause;
use sluice_contract::wire::{
    Batch, Context, WireCallPlans, WireDomainDescription, WireGenerated, WireImportPlan, WireMapperDescription,
    WirePlatformDescription, WireTransformed, WireValidated,
};
use sluice_model::Level;

/// A request of the server. A worker handles one at a time, and answers each with one [`Reply`]; before the reply to
/// [`Request::Call`] it may ask for lookups.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Sets the engine up. It is the first request, and is answered by [`Reply::Ready`].
    Start {
        /// Maximum stack of a plugin in bytes. All plugins of an engine have the same.
        stack_bytes: u64,
        /// Id of the server's process. A worker with another parent has outlived its server.
        server: u32,
    },
    /// Compiles the component whose bytes are the attached file. Answered by [`Reply::Compiled`] or [`Reply::Rejected`].
    Compile {
        /// Limits of this process while it compiles.
        process: ProcessLimits,
    },
    /// Loads compiled code, which is the attached file, and links it. Answered by [`Reply::Loaded`] or
    /// [`Reply::Rejected`].
    Load {
        /// World of the plugin.
        world: PluginWorld,
        /// True if the code was compiled for the engine with a pool of memories.
        pooled: bool,
        /// Limits of this process from now on.
        process: ProcessLimits,
    },
    /// Reads the description of the loaded plugin. Answered by [`Reply::Described`] or [`Reply::Rejected`].
    Describe {
        /// Limits of the call.
        limits: PluginLimits,
    },
    /// Calls the loaded plugin. Answered by [`Reply::Returned`], after any number of [`Reply::Lookup`].
    Call(CallRequest<'a>),
    /// Answer to [`Reply::Lookup`].
    LookupAnswer(Result<WireLookupAnswer, WireLookupRefusal>),
}

/// World of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PluginWorld {
    /// A mapper.
    Mapper,
    /// A domain plugin.
    Domain,
    /// A platform plugin.
    Platform,
}

/// A call into a plugin on a batch.
#[derive(Debug, Serialize, Deserialize)]
pub struct CallRequest<'a> {
    /// Function and its arguments.
    pub call: PluginCall,
    /// Constants of the migration.
    pub context: Cow<'a, Context>,
    /// Records.
    pub batch: Cow<'a, Batch>,
    /// Limits of the call.
    pub limits: Cow<'a, PluginLimits>,
}

/// A function of a plugin, with its arguments besides context and batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PluginCall {
    /// `mapping.transform` with the name of the source.
    Transform(String),
    /// `validation.validate` with the entity type; true for the scope of a migration, with lookups.
    Validate(String, bool),
    /// `importing.plan` with the entity type.
    Plan(String),
    /// `importing.generate` with the entity type.
    Generate(String),
    /// `calling.plan` with the settings, true for flow `every-step`, and the name of the kind.
    PlanCalls(Vec<(String, String)>, bool, String),
}

/// Limits of a worker's process. The worker sets them before it reads the file that comes with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Maximum of writable private memory, in bytes, beyond what the process has.
    pub data_bytes: u64,
    /// Maximum of address space, in bytes, beyond what the process has.
    pub address_bytes: u64,
    /// Maximum length of a file that the process writes, in bytes.
    pub file_bytes: u64,
}

/// A reply of a worker. The server trusts none of it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Answer to [`Request::Start`].
    Ready(Walls),
    /// A compiled component. The attached file has its code.
    Compiled(CompiledComponent),
    /// The component cannot be compiled, linked or described.
    Rejected(Rejection),
    /// Answer to [`Request::Load`].
    Loaded,
    /// Answer to [`Request::Describe`].
    Described(Description),
    /// A lookup of the plugin. The server answers with [`Request::LookupAnswer`].
    Lookup(LookupRequest),
    /// Answer to [`Request::Call`].
    Returned(CallReturn),
}

/// Walls around a worker's process, as far as the kernel has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Names of the walls that stand.
    pub standing: Vec<String>,
    /// Walls that could not be raised, each with the reason.
    pub missing: Vec<(String, String)>,
}

/// A compiled component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompiledComponent {
    /// Reason why it does not fit the pool of memories. `None` if it does.
    pub not_pooled: Option<String>,
    /// Names, as its file states them.
    pub inspected: InspectedComponent,
}

/// Statements of a component's file about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectedComponent {
    /// Names of its exports.
    pub exports: Vec<String>,
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Languages and tools that built it.
    pub toolchain: Vec<String>,
}

/// Reason why a component is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The component, or its description, is wrong: a clause for its author.
    Component(String),
    /// Code that was compiled for another engine. The server compiles the component again.
    StaleCode(String),
}

/// Description of a plugin.
#[derive(Debug, Serialize, Deserialize)]
pub enum Description {
    /// Of a mapper.
    Mapper(WireMapperDescription),
    /// Of a domain plugin.
    Domain(WireDomainDescription),
    /// Of a platform plugin.
    Platform(Box<WirePlatformDescription>),
}

/// A lookup of a plugin.
#[derive(Debug, Serialize, Deserialize)]
pub enum LookupRequest {
    /// `source-lookup.find`: source, field and keys.
    Find(String, String, Batch),
    /// `record-lookup.exist`: entity type and ids.
    Exist(String, WireIds),
    /// `record-lookup.read`: entity type and ids.
    Read(String, WireIds),
    /// `record-lookup.referring`: entity type, field and ids.
    Referring(String, String, WireIds),
}

/// Ids of 16 bytes, end to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireIds(#[serde(with = "serde_bytes")] Vec<u8>);

impl From<Vec<u8>> for WireIds {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl WireIds {
    /// Returns the complete ids.
    #[must_use]
    pub fn ids(&self) -> Vec<[u8; 16]> {
        self.0.as_chunks().0.to_vec()
    }
}

/// Answer to a lookup: records, each with the index of its key, or for `exist` a byte for each id in `records.bytes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireLookupAnswer {
    /// Index of the key that each record answers.
    pub answers: Vec<u32>,
    /// The records.
    pub records: Batch,
}

/// Reason why a lookup is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireLookupRefusal {
    /// The source or entity type does not exist.
    UnknownName,
    /// Records cannot be looked up by the field.
    UnknownField,
    /// The answer is too large.
    TooLarge,
    /// The server could not read.
    Unavailable,
}

/// Outcome of a call.
#[derive(Debug, Serialize, Deserialize)]
pub struct CallReturn {
    /// Value, or the failure.
    pub result: CallResult,
    /// Log entries.
    pub logs: Vec<WireLogEntry>,
    /// Number of log entries that were dropped.
    pub dropped_logs: u64,
    /// Memory that the plugin took, in bytes.
    pub memory_bytes: u64,
    /// True if the plugin could not even be instantiated.
    pub not_instantiated: bool,
}

/// Result of a call.
pub type CallResult = Result<CallValue, CallFailure>;

/// Value that a plugin returned.
#[derive(Debug, Serialize, Deserialize)]
pub enum CallValue {
    /// Of `mapping.transform`.
    Transformed(WireTransformed),
    /// Of `validation.validate`.
    Validated(WireValidated),
    /// Of `importing.plan`.
    Planned(WireImportPlan),
    /// Of `importing.generate`.
    Generated(WireGenerated),
    /// Of `calling.plan`.
    CallPlans(WireCallPlans),
}

/// Failure of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFailure {
    /// Cause.
    pub cause: Cause,
    /// Message of the plugin, which may quote a record.
    pub message: String,
}

/// A log entry of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireLogEntry {
    /// Level.
    pub level: Level,
    /// Text in place of the code.
    pub code: String,
    /// Position of the record in the batch.
    pub position: Option<u32>,
}
