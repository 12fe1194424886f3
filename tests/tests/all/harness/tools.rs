//! Tools that tests run and that a machine may lack: a test without its tool is skipped and listed, or fails.
//!
//! With `SLUICE_REQUIRE_ALL=1` in the environment, a missing tool fails the test. Without it, the test is skipped and
//! appends a line to a file, which `scripts/skipped.sh` reads after `make test`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of the list of skipped tests in `CARGO_TARGET_TMPDIR`. A line has a test, a tool and a reason, separated by
/// tabs.
const SKIPPED_FILE: &str = "skipped.tsv";

/// Options of npm that bound the time without a reachable registry to a few seconds, and that survive a slow answer.
pub const NPM_FETCH: &str =
    "--fetch-timeout=20000 --fetch-retries=2 --fetch-retry-mintimeout=500 --fetch-retry-maxtimeout=2000";

/// A tool that a machine may lack.
pub struct Tool {
    name: &'static str,
    /// A sentence that says how to install the tool.
    install: &'static str,
}

impl Tool {
    const fn new(name: &'static str, install: &'static str) -> Self {
        Self { name, install }
    }
}

/// The shell and the HTTP client that the commands of the guides use.
pub const CURL: Tool = Tool::new("bash and curl", "run scripts/setup-tests.sh, or install the packages bash and curl");
/// The package manager of Node.js, with its registry.
pub const NPM: Tool = Tool::new(
    "node and npm",
    "run scripts/setup-tests.sh, or install Node.js 20 or later with npm; npm has to reach its registry",
);
/// Python with pip and virtual environments.
pub const PYTHON: Tool = Tool::new(
    "python3 and pip",
    "run scripts/setup-tests.sh, or install the packages python3, python3-pip and python3-venv; pip has to reach its index",
);
/// The compressors whose files `sluice migrate` reads.
pub const COMPRESSORS: Tool =
    Tool::new("gzip and zstd", "run scripts/setup-tests.sh, or install the packages gzip and zstd");
/// A toolchain that builds plain components for WASI.
pub const WASI: Tool = Tool::new(
    "a toolchain for wasm32-wasip1",
    "run scripts/setup-tests.sh, or `rustup target add wasm32-wasip1`, or install the packages wasi-libc, rustc-web, \
     cargo-web and rust-web-src; WASI_LIBC names a folder with libc.a if it is not /usr/lib/wasm32-wasi",
);
/// The tables of the Berka bank, which are not part of the repository.
pub const BERKA: Tool =
    Tool::new("the Berka tables", "set SLUICE_BERKA to their folder, or put them into ../shared/data/berka");

/// Returns true if a shell command succeeds, which shows that a tool works. Otherwise skips the test with `skip`.
pub fn available(tool: &Tool, test: &str, check: &str) -> bool {
    let mut bash = Command::new("bash");
    bash.args(["-c", check]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let works = bash.status().is_ok_and(|status| status.success());
    if !works {
        skip(tool, test, &format!("`{check}` fails"));
    }
    works
}

/// Lists a test as skipped, and its caller returns.
///
/// # Panics
///
/// Panics with `SLUICE_REQUIRE_ALL=1` in the environment.
pub fn skip(tool: &Tool, test: &str, reason: &str) {
    let Tool { name, install } = tool;
    assert!(!all_required(), "{test} needs {name}, and SLUICE_REQUIRE_ALL is set: {reason}. To mend it, {install}.");
    list_skipped(tool, test, reason);
}

/// Returns the folder of the Berka tables. Without them, skips the test.
///
/// `SLUICE_BERKA` names the folder; by default it is `data/berka` in `shared`, beside the repository. The tables lie
/// outside of the repository: where neither the variable nor `shared` exists, they are not required even with
/// `SLUICE_REQUIRE_ALL=1`.
pub fn berka_tables(test: &str) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let named = std::env::var_os("SLUICE_BERKA").map(PathBuf::from);
    let expected = named.is_some() || shared.is_dir();
    let folder = named.unwrap_or_else(|| shared.join("data/berka"));
    if folder.join("client.jsonl").is_file() {
        return Some(folder);
    }
    let reason = "this machine does not have the Berka tables; SLUICE_BERKA names their folder";
    if expected {
        skip(&BERKA, test, reason);
    } else {
        list_skipped(&BERKA, test, reason);
    }
    None
}

/// Returns true if a missing tool fails its test.
fn all_required() -> bool {
    std::env::var("SLUICE_REQUIRE_ALL").is_ok_and(|value| value == "1")
}

/// Appends a line to the list of skipped tests. Tests of several processes append to it, so a line is one write.
fn list_skipped(tool: &Tool, test: &str, reason: &str) {
    let line = format!("{test}\t{}\t{}\n", tool.name, reason.replace(['\t', '\n'], " ").trim());
    eprint!("skipped: {line}");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(SKIPPED_FILE);
    let mut list = OpenOptions::new().create(true).append(true).open(file).unwrap();
    list.write_all(line.as_bytes()).unwrap();
}
