//! Search for a toolchain on this machine that can build for Wasm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use crate::TARGET;

/// Path of the compiler of `rustc-web` on Debian and Ubuntu.
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";
/// Possible paths of the cargo of `cargo-web` on Debian and Ubuntu.
const DISTRIBUTION_CARGO: [&str; 2] = ["/usr/bin/cargo", "/usr/share/cargo/bin/cargo"];

/// A cargo and its compiler.
pub(crate) struct Toolchain {
    /// Path of cargo.
    pub cargo: PathBuf,
    /// Path of the compiler.
    pub rustc: PathBuf,
    /// Folder of the compiler's libraries.
    pub sysroot: PathBuf,
    /// Path of the linker. Set only if the standard library of the target must be built from source.
    pub build_std_with: Option<PathBuf>,
}

impl Toolchain {
    /// Returns the toolchain of the outer build if it has the target, or else the toolchain of the distribution with
    /// the source of the standard library. Fails if there is neither.
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
            "plugins cannot be built: no toolchain on this machine has the target {TARGET}. Run `rustup target add \
             {TARGET}`, or on Debian and Ubuntu `apt-get install rustc-web cargo-web rust-web-src`."
        )
    }
}

/// A compiler and its folders.
struct Compiler {
    rustc: PathBuf,
    sysroot: PathBuf,
    /// The folder `<sysroot>/lib/rustlib/<host>`.
    host: PathBuf,
}

impl Compiler {
    fn new(rustc: PathBuf) -> Result<Self> {
        let sysroot = PathBuf::from(answer(&rustc, &["--print", "sysroot"])?);
        let libraries = PathBuf::from(answer(&rustc, &["--print", "target-libdir"])?);
        let host = libraries.parent().map_or(libraries.clone(), Path::to_owned);
        // The real compiler instead of rustup's proxy, because the proxy could choose another toolchain.
        let real = sysroot.join("bin/rustc");
        Ok(Self { rustc: if real.exists() { real } else { rustc }, sysroot, host })
    }

    fn with(self, cargo: PathBuf, build_std_with: Option<PathBuf>) -> Toolchain {
        Toolchain { cargo, rustc: self.rustc, sysroot: self.sysroot, build_std_with }
    }

    /// Returns true if the standard library of the target is installed. The compiler prints the folder in any case.
    fn has_target(&self) -> Result<bool> {
        let libraries = answer(&self.rustc, &["--print", "target-libdir", "--target", TARGET])?;
        Ok(fs::read_dir(libraries).is_ok_and(|mut entries| entries.next().is_some()))
    }

    /// Returns true if the source of the standard library is installed.
    fn has_library_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").exists()
    }

    /// Returns the major version of the compiler's LLVM.
    fn llvm_version(&self) -> Result<String> {
        let verbose = answer(&self.rustc, &["--version", "--verbose"])?;
        let version = verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = version.and_then(|version| version.split('.').next());
        Ok(major.with_context(|| format!("{} names no LLVM version", self.rustc.display()))?.to_owned())
    }
}

/// Runs the compiler and returns its trimmed output.
fn answer(rustc: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(rustc)
        .args(arguments)
        .output()
        .with_context(|| format!("{} could not be started", rustc.display()))?;
    ensure!(output.status.success(), "{} failed with the arguments {}", rustc.display(), arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Returns the path of LLVM's linker: that of one of these compilers, or else an installed one, preferably of the last
/// compiler's LLVM version.
fn linker(compilers: &[&Compiler; 2]) -> Result<PathBuf> {
    let version = compilers[1].llvm_version()?;
    let names = [format!("wasm-ld-{version}"), "rust-lld".into(), "wasm-ld".into()];
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = names.iter().flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)));
    let shipped = compilers.iter().map(|compiler| compiler.host.join("bin/rust-lld"));
    shipped.chain(installed).find(|path| path.exists()).with_context(|| {
        format!("plugins cannot be linked: LLVM's linker is missing. Run `apt-get install lld-{version}`.")
    })
}
