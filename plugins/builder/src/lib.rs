//! Builds plugins of this workspace into components, for build scripts.
//!
//! A build script runs inside a cargo process that holds the lock of the target directory and sets its own compiler in
//! the environment. So this crate starts another cargo process for the plugins. That process has a target directory of
//! its own, an environment without the outer settings, and a toolchain of this machine that can build for Wasm.

mod toolchain;

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use wit_component::ComponentEncoder;

use toolchain::Toolchain;

/// Compilation target of plugins. Its modules import only what their world names.
const TARGET: &str = "wasm32-unknown-unknown";

/// Cargo profile of plugins: fast code that keeps its function names.
const PROFILE: &str = "guest";

/// Builds these packages of the workspace at `root`, and writes a component `<package>.wasm` into `out_dir` for each.
/// Returns the files in the order of `packages`.
///
/// Makes cargo run the build script again when a plugin, the contract or a dependency changes. A build script with
/// plugins outside `plugins/` must declare their folder itself.
pub fn build(root: &Path, packages: &[&str], out_dir: &Path) -> Result<Vec<PathBuf>> {
    for source in ["plugins", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    build_in(root, packages, out_dir, &target_dir(out_dir))
}

/// Builds packages outside a build script, with this target directory. See [`build`].
pub fn build_in(root: &Path, packages: &[&str], out_dir: &Path, target_dir: &Path) -> Result<Vec<PathBuf>> {
    compile(root, packages, target_dir, &["--locked"])?;
    packages.iter().map(|package| encode(package, target_dir, out_dir)).collect()
}

/// Builds the package of a plugin project outside this workspace, and writes the component `<package>.wasm` into
/// `out_dir`. The manifest of the project must have the profile `guest`. Cargo adds missing packages to the lock file.
pub fn build_project(root: &Path, package: &str, out_dir: &Path) -> Result<PathBuf> {
    let target_dir = root.join("target");
    compile(root, &[package], &target_dir, &[])?;
    encode(package, &target_dir, out_dir)
}

/// Compiles packages into core modules.
fn compile(root: &Path, packages: &[&str], target_dir: &Path, more: &[&str]) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let status = cargo(&toolchain, root, target_dir)
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(more)
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("{} could not be started", toolchain.cargo.display()))?;
    ensure!(status.success(), "the plugins {} could not be compiled", packages.join(", "));
    Ok(())
}

/// Returns the source of a Rust static that lists components by name, for `include!`. The name of a component is the
/// name of its package without `prefix`.
pub fn list(name: &str, prefix: &str, components: &[PathBuf]) -> String {
    let mut code = format!("/// Components by name.\npub static {name}: &[(&str, &[u8])] = &[\n");
    for component in components {
        let package = component.file_stem().and_then(OsStr::to_str).expect("a package's name is UTF-8");
        let short = package.strip_prefix(prefix).unwrap_or(package);
        writeln!(code, "    ({short:?}, include_bytes!({component:?})),").expect("writing to a string does not fail");
    }
    code + "];\n"
}

/// Returns a target directory next to that of the outer build, so that neither waits for the other's lock. `out_dir` is
/// `<target>/<profile>/build/<package>/out`.
fn target_dir(out_dir: &Path) -> PathBuf {
    out_dir.ancestors().nth(4).unwrap_or(out_dir).join("guests")
}

/// Returns the command `cargo build` for plugins, with the environment of a shell in the workspace.
fn cargo(toolchain: &Toolchain, root: &Path, target_dir: &Path) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os() {
        if !is_inherited(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(root)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_BUILD_BUILD_DIR", target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, root).join("\x1f"))
        .args(["build", "--target", TARGET, "--profile", PROFILE, "--target-dir"])
        .arg(target_dir);
    if let Some(linker) = &toolchain.build_std_with {
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
            .arg("-Zbuild-std=std,panic_abort");
    }
    command
}

/// Returns true if the inner build inherits an environment variable of the outer build. It does not inherit the
/// variables that cargo sets for a build script, or those that choose a compiler, wrapper, flags or directories.
fn is_inherited(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_COLOR"];
    const REMOVED: [&str; 6] = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "__CARGO"];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    starts(&KEPT) || !(starts(&REMOVED) || name == "OUT_DIR" || name == "TARGET" || name == "HOST")
}

/// Inlining threshold: 1,000 instead of LLVM's 225. A plugin checks its time limit at each call and each iteration of a
/// loop, so calls are expensive. With this threshold mappers take 6 to 9 % less time and domain plugins 18 %, for 18 to
/// 38 % more code. A threshold of 3,000 saves another 2 % of time, for another 15 % of code.
const INLINING: &str = "-Cllvm-args=-inline-threshold=1000";

/// Returns the compiler flags for plugins: 16-byte vectors, which speed up the search for a name in a record, the
/// inlining threshold, and no paths of this machine.
fn flags(toolchain: &Toolchain, root: &Path) -> Vec<String> {
    let mut flags = remap_paths(toolchain, root);
    flags.push("-Ctarget-feature=+simd128".into());
    flags.push(INLINING.into());
    flags
}

/// Returns flags that remove the machine's paths from plugins, so that every machine builds the same bytes. If several
/// prefixes match, rustc uses the last.
fn remap_paths(toolchain: &Toolchain, root: &Path) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = home.as_ref().and_then(|home| home.join("registry/src").read_dir().ok());
    let library = toolchain.sysroot.join("lib/rustlib/src/rust");
    let real_library = library.canonicalize().ok();

    let mut folders: Vec<(PathBuf, &str)> = home.map(|home| (home, "cargo")).into_iter().collect();
    folders.extend(registries.into_iter().flatten().flatten().map(|registry| (registry.path(), "cargo")));
    folders.push((library, "rust"));
    folders.extend(real_library.map(|library| (library, "rust")));
    folders.push((root.to_owned(), "sluice"));
    folders.iter().map(|(folder, name)| format!("--remap-path-prefix={}=/{name}", folder.display())).collect()
}

/// Encodes the core module of a package as a component of its embedded world, and writes it into `out_dir`.
fn encode(package: &str, target_dir: &Path, out_dir: &Path) -> Result<PathBuf> {
    let module = target_dir.join(TARGET).join(PROFILE).join(package.replace('-', "_")).with_extension("wasm");
    let bytes =
        fs::read(&module).with_context(|| format!("the build of {package} did not write {}", module.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("the module of {package} cannot be encoded as a component"))?;
    let path = out_dir.join(package).with_extension("wasm");
    fs::write(&path, component).with_context(|| format!("{} could not be written", path.display()))?;
    Ok(path)
}
