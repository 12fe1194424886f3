//! A plugin's own project: its language, and that language's own tools.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Javascript,
    Python,
}

impl Language {
    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Javascript => "javascript",
            Language::Python => "python",
        }
    }

    /// The file by which a project in it is known; it holds the plugin's name.
    fn manifest(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Javascript => "package.json",
            Language::Python => "pyproject.toml",
        }
    }
}

/// A folder that `sluice plugin new` made, or one like it.
pub struct Project {
    pub dir: PathBuf,
    pub language: Language,
    pub name: String,
}

/// What is made by tools, and by which nothing is out of date.
const MADE: [&str; 6] = ["dist", "target", "node_modules", ".venv", "__pycache__", "cases"];

impl Project {
    /// The project in a folder.
    pub fn find(dir: &Path) -> Result<Self> {
        let known = Language::value_variants().iter().find(|language| dir.join(language.manifest()).is_file());
        let Some(&language) = known else {
            bail!(
                "{} is no plugin's project, as it has no Cargo.toml, package.json or pyproject.toml: name its folder, or \
                 make one with `sluice plugin new`",
                dir.display()
            );
        };
        let file = dir.join(language.manifest());
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = match language {
            Language::Javascript => {
                let manifest: serde_json::Value =
                    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
                manifest["name"].as_str().map(str::to_owned)
            }
            Language::Rust | Language::Python => {
                let section = if language == Language::Rust { "package" } else { "project" };
                let manifest: toml::Table = text.parse().with_context(|| format!("{} is no TOML", file.display()))?;
                manifest.get(section).and_then(|section| section.get("name")?.as_str()).map(str::to_owned)
            }
        };
        let name = name.with_context(|| format!("{} does not name the project", file.display()))?;
        Ok(Self { dir: dir.into(), language, name })
    }

    /// Where its component is, once it was built.
    pub fn component(&self) -> PathBuf {
        self.dir.join("dist").join(&self.name).with_extension("wasm")
    }

    /// Whether the component is there and newer than everything that it is made of.
    pub fn is_built(&self) -> bool {
        let built = fs::metadata(self.component()).and_then(|file| file.modified());
        built.is_ok_and(|built| newest(&self.dir).is_some_and(|source| source <= built))
    }

    /// Makes the component, after whatever setting up that takes.
    pub fn build(&self) -> Result<()> {
        let Self { dir, name, .. } = self;
        fs::create_dir_all(dir.join("dist")).with_context(|| format!("cannot write in {}", dir.display()))?;
        match self.language {
            Language::Rust => {
                self.see("cargo", "--version")?;
                let root = dir.canonicalize()?;
                sluice_guest_builder::build_project(&root, name, &root.join("dist"))?;
            }
            Language::Javascript => {
                if !dir.join("node_modules/@bytecodealliance/componentize-js").is_dir() {
                    self.run("npm", &["install", "--no-audit", "--no-fund"])?;
                }
                self.run("npm", &["run", "--silent", "build"])?;
            }
            Language::Python => {
                if !dir.join(".venv/bin/componentize-py").is_file() {
                    self.run("python3", &["-m", "venv", ".venv"])?;
                    self.run(".venv/bin/pip", &["install", "--quiet", "--requirement", "requirements.txt"])?;
                }
                self.run(".venv/bin/python", &["build.py"])?;
            }
        }
        let component = self.component();
        ensure!(component.is_file(), "the build left no {}", component.display());
        Ok(())
    }

    /// Runs its cases with the language's own test runner, which says what is wrong; whether all is well.
    pub fn passes_natively(&self) -> Result<bool> {
        let (tool, arguments): (_, &[&str]) = match self.language {
            Language::Rust => ("cargo", &["test", "--quiet"]),
            Language::Javascript => ("node", &["--test"]),
            Language::Python => ("python3", &["-m", "unittest"]),
        };
        let status = self.command(tool)?.args(arguments).status().map_err(|error| missing(tool, &error))?;
        Ok(status.success())
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> Result<()> {
        let status = self.command(tool)?.args(arguments).status().map_err(|error| missing(tool, &error))?;
        ensure!(status.success(), "`{tool} {}` in {} failed", arguments.join(" "), self.dir.display());
        Ok(())
    }

    /// Says that a tool is missing where it is.
    fn see(&self, tool: &str, argument: &str) -> Result<()> {
        let output = self.command(tool)?.arg(argument).output().map_err(|error| missing(tool, &error))?;
        ensure!(output.status.success(), "{tool} does not run: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// A tool, by its name or by its place in the project.
    fn command(&self, tool: &str) -> Result<Command> {
        let path = if tool.contains('/') { self.dir.canonicalize()?.join(tool) } else { tool.into() };
        let mut command = Command::new(path);
        command.current_dir(&self.dir);
        // A test run by an outer cargo is none of the inner one's business.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
        Ok(command)
    }
}

fn missing(tool: &str, error: &std::io::Error) -> anyhow::Error {
    if error.kind() != ErrorKind::NotFound {
        return anyhow::anyhow!("{tool} could not be started: {error}");
    }
    let remedy = match tool {
        "cargo" => "install Rust with rustup, https://rustup.rs",
        "node" | "npm" => "install Node.js 20 or later with npm, https://nodejs.org",
        "python3" => "install Python 3.10 or later with venv; on Debian and Ubuntu `apt-get install python3-venv`",
        _ => "remove .venv and build again",
    };
    anyhow::anyhow!("{tool} is not on this machine: {remedy}")
}

/// When the newest source of a project was written.
fn newest(folder: &Path) -> Option<SystemTime> {
    let made = |name: &OsStr| MADE.iter().any(|made| name == *made);
    let entries = fs::read_dir(folder).ok()?.flatten().filter(|entry| !made(&entry.file_name()));
    let times = entries.filter_map(|entry| match entry.file_type().ok()?.is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().ok()?.modified().ok(),
    });
    times.max()
}
