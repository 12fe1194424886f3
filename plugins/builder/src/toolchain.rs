//! Finds a toolchain on this machine that can build for Wasm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use crate::TARGET;

/// Where Debian and Ubuntu put the compiler of `rustc-web` and the cargo of `cargo-web`.
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";
const DISTRIBUTION_CARGO: [&str; 2] = ["/usr/bin/cargo", "/usr/share/cargo/bin/cargo"];

/// A cargo and its compiler.
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    pub sysroot: PathBuf,
    /// Set where the target's standard library is built from its source: the linker to use.
    pub build_std_with: Option<PathBuf>,
}

impl Toolchain {
    /// The outer build's own toolchain where it has the target, or else the distribution's with the
    /// standard library's source.
    pub fn find() -> Result<Self> {
        let outer = Compiler::new(env::var_os("RUSTC").unwrap_or("rustc".into()).into())?;
        if outer.has_target()? {
            let cargo = env::var_os("CARGO").unwrap_or("cargo".into()).into();
            return Ok(outer.with(cargo, None));
        }
        let cargo = DISTRIBUTION_CARGO.iter().map(PathBuf::from).find(|path| path.exists());
        let distribution = Compiler::new(DISTRIBUTION_RUSTC.into()).ok().filter(Compiler::has_library_source);
        if let (Some(cargo), Some(distribution)) = (cargo, distribution) {
            let linker = linker(&[&outer, &distribution])?;
            return Ok(distribution.with(cargo, Some(linker)));
        }
        bail!(
            "Plugins cannot be built, as no toolchain here has the target {TARGET}: run `rustup target add {TARGET}`, \
             or on Debian and Ubuntu `apt-get install rustc-web cargo-web rust-web-src`."
        )
    }
}

/// A compiler and where it keeps its things.
struct Compiler {
    rustc: PathBuf,
    sysroot: PathBuf,
    /// `<sysroot>/lib/rustlib/<host>`
    host: PathBuf,
}

impl Compiler {
    fn new(rustc: PathBuf) -> Result<Self> {
        let sysroot = PathBuf::from(answer(&rustc, &["--print", "sysroot"])?);
        let libraries = PathBuf::from(answer(&rustc, &["--print", "target-libdir"])?);
        let host = libraries.parent().map_or(libraries.clone(), Path::to_owned);
        // Past rustup's proxy, which would choose a toolchain again, and perhaps another one.
        let real = sysroot.join("bin/rustc");
        Ok(Self { rustc: if real.exists() { real } else { rustc }, sysroot, host })
    }

    fn with(self, cargo: PathBuf, build_std_with: Option<PathBuf>) -> Toolchain {
        Toolchain { cargo, rustc: self.rustc, sysroot: self.sysroot, build_std_with }
    }

    /// Whether the target's standard library is installed: the folder's name is printed either way.
    fn has_target(&self) -> Result<bool> {
        let libraries = answer(&self.rustc, &["--print", "target-libdir", "--target", TARGET])?;
        Ok(fs::read_dir(libraries).is_ok_and(|mut entries| entries.next().is_some()))
    }

    fn has_library_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").exists()
    }

    /// The major version of the LLVM that it generates code with.
    fn llvm_version(&self) -> Result<String> {
        let verbose = answer(&self.rustc, &["--version", "--verbose"])?;
        let version = verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = version.and_then(|version| version.split('.').next());
        Ok(major.with_context(|| format!("{} names no LLVM version", self.rustc.display()))?.to_owned())
    }
}

/// What `rustc` answers.
fn answer(rustc: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(rustc)
        .args(arguments)
        .output()
        .with_context(|| format!("{} could not be started", rustc.display()))?;
    ensure!(output.status.success(), "{} does not know {}", rustc.display(), arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// LLVM's linker as one of these compilers ships it, or else as the machine has it: the last compiler's
/// own version before any other.
fn linker(compilers: &[&Compiler; 2]) -> Result<PathBuf> {
    let version = compilers[1].llvm_version()?;
    let names = [format!("wasm-ld-{version}"), "rust-lld".into(), "wasm-ld".into()];
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = names.iter().flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)));
    let shipped = compilers.iter().map(|compiler| compiler.host.join("bin/rust-lld"));
    shipped.chain(installed).find(|path| path.exists()).with_context(|| {
        format!("Plugins cannot be linked, as LLVM's linker is missing: run `apt-get install lld-{version}`.")
    })
}
