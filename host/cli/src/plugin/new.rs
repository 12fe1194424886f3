//! `sluice plugin new` and `build`: creates a small complete project, and builds its component.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use sluice_embedded::PROJECTS;
use sluice_model::Digest;

use crate::format::grouped;
use crate::output::print;
use crate::plugin::project::{Language, Project};

/// Arguments of `sluice plugin new`.
#[derive(Args)]
pub struct NewArgs {
    /// Name of the plugin: lower-case letters, digits and -
    name: String,
    /// Programming language
    #[arg(long)]
    lang: Language,
    /// Folder of the project [default: the plugin's name]
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Arguments of `sluice plugin build`.
#[derive(Args)]
pub struct BuildArgs {
    /// Folder of the plugin's project
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Maximum length of a name. A name is part of paths and a prefix of codes.
const MAX_NAME_LENGTH: usize = 40;

/// Names that have another meaning in one of the languages or in the project itself.
const RESERVED_NAMES: [&str; 8] = ["test", "core", "std", "alloc", "sluice", "sluice-sdk", "mapper", "component"];

/// Creates a project and returns the exit code.
pub fn new(args: &NewArgs) -> Result<u8> {
    let NewArgs { name, lang, dir } = args;
    check_name(name)?;
    let dir = dir.clone().unwrap_or_else(|| name.into());
    let is_empty = !dir.exists() || fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(is_empty, "{} exists and is not empty: name another folder with --dir", dir.display());
    let (_, files) = PROJECTS.iter().find(|(language, _)| *language == lang.name()).context("a known language")?;
    for (path, text) in *files {
        let text = text.replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"));
        write(&dir.join(path), &text)?;
    }
    print(&format!(
        "Created {}, a mapper in {}. Its README describes the files. Next:\n\n    cd {0}\n    sluice plugin test\n    sluice \
         plugin run dist/{name}.wasm --source client=data/client.jsonl\n",
        dir.display(),
        lang.name(),
    ))?;
    Ok(0)
}

fn check_name(name: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = name.len() <= MAX_NAME_LENGTH && name.bytes().all(is_allowed) && !name.ends_with('-');
    ensure!(
        is_name && name.starts_with(|first: char| first.is_ascii_lowercase()),
        "{name} is not a valid name: use at most {MAX_NAME_LENGTH} lower-case letters, digits and -, beginning with a \
         letter, such as my-mapper"
    );
    ensure!(!RESERVED_NAMES.contains(&name), "{name} is a reserved name: use another, such as my-{name}");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Builds a project's component and returns the exit code.
pub fn build(args: &BuildArgs) -> Result<u8> {
    let project = Project::find(&args.dir)?;
    project.build()?;
    let path = project.component();
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    print(&format!("{}\n{} bytes\nsha256:{}\n", path.display(), grouped(bytes.len()), Digest::of(&bytes)))?;
    Ok(0)
}
