//! Walls around the process. A plugin that escapes from wasmtime finds a process without files, network, environment,
//! capabilities and other processes.
//!
//! | wall | holds |
//! |---|---|
//! | `descriptors` | no descriptor but the socket to the server |
//! | `memory` | the kernel ends the process before the server if the machine has no memory left |
//! | `parent` | the kernel kills the process when the server ends |
//! | `dumps` | no core dump, no tracing by other processes of the same user |
//! | `namespaces` | no network, no System V objects of the system |
//! | `landlock` | no path, no TCP port, no abstract socket, no signal to processes outside |
//! | `capabilities` | none, also for a server that runs as root |
//! | `resources` | memory, address space, files, descriptors: [`limit_resources`] |
//! | `seccomp` | the system calls that compiling and running need: see `system_calls` |
//!
//! Each is raised as far as the kernel has it. The server logs which are missing, and with `worker.require_walls` it does
//! not start without them.

#[cfg(test)]
mod drill;
mod system_calls;

use std::sync::OnceLock;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetStatus,
    Scope,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs, unshare_unsafe,
};

use sluice_plugin_protocol::{ProcessLimits, Walls};

/// Maximum number of descriptors: standard streams, the socket, files of requests, and memory that wasmtime maps.
const MAX_DESCRIPTORS: u64 = 64;

/// Address space and writable private memory of the process before the walls, in bytes.
static BASELINE: OnceLock<(u64, u64)> = OnceLock::new();

/// Reads the address space and the writable private memory of the process, in bytes.
fn memory() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
    };
    Some((bytes("VmSize:")?, bytes("VmData:")?))
}

/// Closes all descriptors that the server's parent left open in the server. Rust closes the server's own when it starts the
/// process.
pub(crate) fn close_descriptors() {
    // SAFETY: the process has one thread, and owns no descriptor beyond the standard streams yet, so none that is closed
    // here is in use.
    #[allow(unsafe_code)]
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}

/// Raises all walls but [`limit_resources`]. Returns those that stand, and those that the kernel does not have. `server` is
/// the id of the server's process.
pub(crate) fn raise(server: u32) -> Walls {
    let _ = BASELINE.set(memory().unwrap_or_default());
    let mut walls = Walls::default();
    let mut note = |name: &str, raised: Result<(), String>| match raised {
        Ok(()) => walls.standing.push(name.into()),
        Err(reason) => walls.missing.push((name.into(), reason)),
    };
    note("memory", die_first());
    note("dumps", no_dumps());
    note("namespaces", own_namespaces());
    note("capabilities", no_capabilities());
    // After the changes of credentials, which take the signal away.
    note("parent", die_with_parent(server));
    note("landlock", no_paths());
    note("resources", few_descriptors());
    note("seccomp", system_calls::restrict());
    walls
}

/// Makes the kernel kill this process when the thread of the server that started it ends.
fn die_with_parent(server: u32) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // The server may have ended before.
    match getppid() {
        Some(parent) if parent.as_raw_nonzero().get().cast_unsigned() == server => Ok(()),
        _ => std::process::exit(1),
    }
}

/// Makes the kernel end this process before others if the machine has no memory left.
fn die_first() -> Result<(), String> {
    std::fs::write("/proc/self/oom_score_adj", "1000").map_err(|error| error.to_string())
}

fn no_dumps() -> Result<(), String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| error.to_string())?;
    limit(Resource::Core, 0)
}

/// Moves the process into an empty network and an empty set of System V objects. Without privileges that takes a namespace
/// of users as well.
fn own_namespaces() -> Result<(), String> {
    let own = UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    // SAFETY: the flags do not separate the table of descriptors from that of other threads.
    #[allow(unsafe_code)]
    let unshare = |flags| unsafe { unshare_unsafe(flags) };
    unshare(own).or_else(|_| unshare(own | UnshareFlags::NEWUSER)).map_err(|error| error.to_string())
}

/// Takes every path, every TCP port, every abstract socket and every process outside away.
fn no_paths() -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.restrict_self());
    match ruleset.map_err(|error| text(&error))?.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("the kernel has a part of it only".into()),
        RulesetStatus::NotEnforced => Err("the kernel does not have it".into()),
    }
}

/// Drops all capabilities, and the means to get them back.
fn no_capabilities() -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| error.to_string())?;
    for capability in CapabilitySet::all().iter() {
        // Fails without privileges, and then there is nothing in the set that the process could gain.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(|error| error.to_string())
}

fn few_descriptors() -> Result<(), String> {
    limit(Resource::Nofile, MAX_DESCRIPTORS)
}

/// Limits the memory and the files of the process, in addition to what it has now. A limit can only become narrower, so the
/// server starts another process for a plugin that may have more.
pub(crate) fn limit_resources(limits: &ProcessLimits) {
    let (address_bytes, data_bytes) = BASELINE.get().copied().unwrap_or_default();
    // Each fails only if the limit is narrower already.
    let _ = limit(Resource::As, address_bytes.saturating_add(limits.address_bytes));
    let _ = limit(Resource::Data, data_bytes.saturating_add(limits.data_bytes));
    let _ = limit(Resource::Fsize, limits.file_bytes);
}

fn limit(resource: Resource, most: u64) -> Result<(), String> {
    let before = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let most = Some(most.min(before));
    setrlimit(resource, Rlimit { current: most, maximum: most }).map_err(|error| error.to_string())
}
