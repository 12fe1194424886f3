//! A plugin's project: its language, and the tools of that language.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

/// A programming language for plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust.
    Rust,
    /// JavaScript.
    Javascript,
    /// Python.
    Python,
}

impl Language {
    /// Returns the name of the language on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Javascript => "javascript",
            Language::Python => "python",
        }
    }

    /// Returns the name of the project file, which identifies the language and holds the plugin's name.
    fn manifest(self) -> &'static str {
        match self {
            Language::Rust => "Cargo.toml",
            Language::Javascript => "package.json",
            Language::Python => "pyproject.toml",
        }
    }
}

/// A project of a plugin, such as `sluice plugin new` creates.
pub struct Project {
    /// Folder of the project.
    pub dir: PathBuf,
    /// Programming language.
    pub language: Language,
    /// Name of the plugin.
    pub name: String,
}

/// Folders that are not sources of the component: outputs of tools, and test cases.
const NO_SOURCES: [&str; 6] = ["dist", "target", "node_modules", ".venv", "__pycache__", "cases"];

impl Project {
    /// Finds the project in a folder.
    pub fn find(dir: &Path) -> Result<Self> {
        let known = Language::value_variants().iter().find(|language| dir.join(language.manifest()).is_file());
        let Some(&language) = known else {
            bail!(
                "{} is not a plugin's project, because it has no Cargo.toml, package.json or pyproject.toml: name the \
                 project's folder, or create a project with `sluice plugin new`",
                dir.display()
            );
        };
        let file = dir.join(language.manifest());
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = match language {
            Language::Javascript => {
                let manifest: serde_json::Value =
                    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
                manifest["name"].as_str().map(str::to_owned)
            }
            Language::Rust | Language::Python => {
                let section = if language == Language::Rust { "package" } else { "project" };
                let manifest: toml::Table = text.parse().with_context(|| format!("{} is not TOML", file.display()))?;
                manifest.get(section).and_then(|section| section.get("name")?.as_str()).map(str::to_owned)
            }
        };
        let name = name.with_context(|| format!("{} does not name the project", file.display()))?;
        Ok(Self { dir: dir.into(), language, name })
    }

    /// Returns the path of the built component.
    pub fn component(&self) -> PathBuf {
        self.dir.join("dist").join(&self.name).with_extension("wasm")
    }

    /// Returns true if the component exists and is newer than all of its sources.
    pub fn is_built(&self) -> bool {
        let built = fs::metadata(self.component()).and_then(|file| file.modified());
        built.is_ok_and(|built| last_change(&self.dir).is_some_and(|source| source <= built))
    }

    /// Builds the component. Installs the dependencies of the build first, if they are missing.
    pub fn build(&self) -> Result<()> {
        let Self { dir, name, .. } = self;
        fs::create_dir_all(dir.join("dist")).with_context(|| format!("cannot write in {}", dir.display()))?;
        match self.language {
            Language::Rust => {
                self.check_tool("cargo", "--version")?;
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
        ensure!(component.is_file(), "the build did not create {}", component.display());
        Ok(())
    }

    /// Runs the test cases with the language's test runner, which prints failures. Returns true if all tests pass.
    pub fn passes_natively(&self) -> Result<bool> {
        let (tool, arguments): (_, &[&str]) = match self.language {
            Language::Rust => ("cargo", &["test", "--quiet"]),
            Language::Javascript => ("node", &["--test"]),
            Language::Python => ("python3", &["-m", "unittest"]),
        };
        let status = self.command(tool)?.args(arguments).status().map_err(|error| start_error(tool, &error))?;
        Ok(status.success())
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> Result<()> {
        let status = self.command(tool)?.args(arguments).status().map_err(|error| start_error(tool, &error))?;
        ensure!(status.success(), "`{tool} {}` in {} failed", arguments.join(" "), self.dir.display());
        Ok(())
    }

    /// Fails if a tool is missing or does not run.
    fn check_tool(&self, tool: &str, argument: &str) -> Result<()> {
        let output = self.command(tool)?.arg(argument).output().map_err(|error| start_error(tool, &error))?;
        ensure!(output.status.success(), "{tool} does not run: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Returns the command of a tool: a name, or a path in the project.
    fn command(&self, tool: &str) -> Result<Command> {
        let path = if tool.contains('/') { self.dir.canonicalize()?.join(tool) } else { tool.into() };
        let mut command = Command::new(path);
        command.current_dir(&self.dir);
        // Variables of an outer cargo that runs this command would mislead the inner one.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
        Ok(command)
    }
}

/// Returns the error for a tool that did not start, with a remedy if it is not installed.
fn start_error(tool: &str, error: &std::io::Error) -> anyhow::Error {
    if error.kind() != ErrorKind::NotFound {
        return anyhow::anyhow!("{tool} could not be started: {error}");
    }
    let remedy = match tool {
        "cargo" => "install Rust with rustup, https://rustup.rs",
        "node" | "npm" => "install Node.js 20 or later with npm, https://nodejs.org",
        "python3" => "install Python 3.10 or later with venv; on Debian and Ubuntu `apt-get install python3-venv`",
        _ => "remove .venv and build again",
    };
    anyhow::anyhow!("{tool} is not installed: {remedy}")
}

/// Returns the time of the last change of a source.
fn last_change(folder: &Path) -> Option<SystemTime> {
    let is_source = |name: &OsStr| NO_SOURCES.iter().all(|folder| name != *folder);
    let entries = fs::read_dir(folder).ok()?.flatten().filter(|entry| is_source(&entry.file_name()));
    let times = entries.filter_map(|entry| match entry.file_type().ok()?.is_dir() {
        true => last_change(&entry.path()),
        false => entry.metadata().ok()?.modified().ok(),
    });
    times.max()
}
