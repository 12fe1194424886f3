//! Builds plugins of this workspace into components, for build scripts.
//!
//! A build script runs inside a cargo that already holds the target directory and has its own
//! compiler in the environment, so the guests are built by a cargo of their own: with a target
//! directory of its own, an environment without the outer one's settings, and whichever of the
//! machine's toolchains can build for Wasm.

mod toolchain;

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use wit_component::ComponentEncoder;

use toolchain::Toolchain;

/// What plugins are compiled for. Its modules import nothing but what their world names.
const TARGET: &str = "wasm32-unknown-unknown";

/// The profile in the workspace's manifest: fast code that keeps its function names.
const PROFILE: &str = "guest";

/// Builds these packages of the workspace at `root` and writes `<package>.wasm`, a component, into
/// `out_dir` for each of them. Returns the files in the order of `packages`.
///
/// Tells cargo to run the build script again when a plugin, the contract or a dependency changes; a
/// script whose guests lie outside `plugins/` names their folder itself.
pub fn build(root: &Path, packages: &[&str], out_dir: &Path) -> Result<Vec<PathBuf>> {
    for source in ["plugins", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    build_in(root, packages, out_dir, &target_dir(out_dir))
}

/// The same outside a build script, with a target directory of the caller's choice.
pub fn build_in(root: &Path, packages: &[&str], out_dir: &Path, target_dir: &Path) -> Result<Vec<PathBuf>> {
    compile(root, packages, target_dir, &["--locked"])?;
    packages.iter().map(|package| encode(package, target_dir, out_dir)).collect()
}

/// Builds the package of a plugin's own project, whose manifest has the profile `guest`, and writes
/// `<package>.wasm` into `out_dir`. What its lock file does not name yet is added to it.
pub fn build_project(root: &Path, package: &str, out_dir: &Path) -> Result<PathBuf> {
    let target_dir = root.join("target");
    compile(root, &[package], &target_dir, &[])?;
    encode(package, &target_dir, out_dir)
}

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

/// A Rust static that lists components by name, for `include!`: a component's name is its package's
/// without `prefix`.
pub fn list(name: &str, prefix: &str, components: &[PathBuf]) -> String {
    let mut code = format!("/// Components by name.\npub static {name}: &[(&str, &[u8])] = &[\n");
    for component in components {
        let package = component.file_stem().and_then(OsStr::to_str).expect("a package's name is text");
        let short = package.strip_prefix(prefix).unwrap_or(package);
        writeln!(code, "    ({short:?}, include_bytes!({component:?})),").expect("a string takes any text");
    }
    code + "];\n"
}

/// A folder beside the outer build's own, so that neither waits for the other's lock. `out_dir` is
/// `<target>/<profile>/build/<package>/out`.
fn target_dir(out_dir: &Path) -> PathBuf {
    out_dir.ancestors().nth(4).unwrap_or(out_dir).join("guests")
}

/// `cargo build` for the guests, as if called from a shell in the workspace.
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

/// Whether a variable of the outer build's environment means the same to the inner one: not what
/// cargo tells a build script, nor a choice of compiler, wrapper, flags or directories.
fn is_inherited(name: &str) -> bool {
    const OURS: [&str; 6] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_COLOR"];
    const THEIRS: [&str; 6] = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "__CARGO"];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    starts(&OURS) || !(starts(&THEIRS) || name == "OUT_DIR" || name == "TARGET" || name == "HOST")
}

/// Four times as much is inlined as usual (225). A guest asks with each call and each turn of a loop whether its time is
/// up, so calls are dear: mappers took 6 to 9 % less time and domain plugins 18 %, for 18 to 38 % more code. With 3,000
/// it was 2 % less again, for 15 % more code.
const INLINING: &str = "-Cllvm-args=-inline-threshold=1000";

/// What guests are compiled with: vectors of 16 bytes, by which a name is found in a record, and nothing of this machine.
fn flags(toolchain: &Toolchain, root: &Path) -> Vec<String> {
    let mut flags = remap_paths(toolchain, root);
    flags.push("-Ctarget-feature=+simd128".into());
    flags.push(INLINING.into());
    flags
}

/// Flags that keep the machine's folders out of the guests, so that every machine builds the same.
/// Of several prefixes that fit, rustc takes the last.
fn remap_paths(toolchain: &Toolchain, root: &Path) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = home.as_ref().and_then(|home| home.join("registry/src").read_dir().ok());
    let library = toolchain.sysroot.join("lib/rustlib/src/rust");
    let library_itself = library.canonicalize().ok();

    let mut folders: Vec<(PathBuf, &str)> = home.map(|home| (home, "cargo")).into_iter().collect();
    folders.extend(registries.into_iter().flatten().flatten().map(|registry| (registry.path(), "cargo")));
    folders.push((library, "rust"));
    folders.extend(library_itself.map(|library| (library, "rust")));
    folders.push((root.to_owned(), "sluice"));
    folders.iter().map(|(folder, name)| format!("--remap-path-prefix={}=/{name}", folder.display())).collect()
}

/// Wraps a core module into the component that its embedded world describes.
fn encode(package: &str, target_dir: &Path, out_dir: &Path) -> Result<PathBuf> {
    let module = target_dir.join(TARGET).join(PROFILE).join(package.replace('-', "_")).with_extension("wasm");
    let bytes = fs::read(&module).with_context(|| format!("{package} left no {}", module.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("{package} is no component"))?;
    let path = out_dir.join(package).with_extension("wasm");
    fs::write(&path, component).with_context(|| format!("{} could not be written", path.display()))?;
    Ok(path)
}
