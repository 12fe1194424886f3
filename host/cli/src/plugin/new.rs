//! `sluice plugin new` and `build`: a small complete project, and its component.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use sluice_embedded::PROJECTS;
use sluice_model::Digest;

use crate::plugin::project::{Language, Project};
use crate::view::{grouped, print};

/// What `sluice plugin new` is told.
#[derive(Args)]
pub struct New {
    /// The plugin's name: lower-case letters, digits and -
    name: String,
    /// The language that it is written in
    #[arg(long)]
    lang: Language,
    /// The folder to make, instead of one with its name
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// What `sluice plugin build` is told.
#[derive(Args)]
pub struct Build {
    /// The plugin's project
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Longest name: it stands in paths and in front of codes.
const MAX_NAME: usize = 40;

/// Names that one of the languages, or the project itself, has for something else.
const TAKEN: [&str; 8] = ["test", "core", "std", "alloc", "sluice", "sluice-sdk", "mapper", "component"];

/// Makes a project; the exit code.
pub fn new(args: &New) -> Result<u8> {
    let New { name, lang, dir } = args;
    check_name(name)?;
    let dir = dir.clone().unwrap_or_else(|| name.into());
    let empty = !dir.exists() || fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(empty, "{} is already there and not empty: name another folder with --dir", dir.display());
    let (_, files) = PROJECTS.iter().find(|(language, _)| *language == lang.name()).context("a known language")?;
    for (path, text) in *files {
        let text = text.replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"));
        write(&dir.join(path), &text)?;
    }
    print(&format!(
        "{} is a mapper in {}: its README says what is where. Next:\n\n    cd {0}\n    sluice plugin test\n    sluice \
         plugin run dist/{name}.wasm --source client=data/client.jsonl\n",
        dir.display(),
        lang.name(),
    ))?;
    Ok(0)
}

fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = name.len() <= MAX_NAME && name.bytes().all(plain) && !name.ends_with('-');
    ensure!(
        fits && name.starts_with(|first: char| first.is_ascii_lowercase()),
        "{name} cannot be a plugin's name: take at most {MAX_NAME} lower-case letters, digits and -, beginning with a \
         letter, such as my-mapper"
    );
    ensure!(!TAKEN.contains(&name), "{name} is the name of something else: take another, such as my-{name}");
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a project's component; the exit code.
pub fn build(args: &Build) -> Result<u8> {
    let project = Project::find(&args.dir)?;
    project.build()?;
    let path = project.component();
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    print(&format!("{}\n{} bytes\nsha256:{}\n", path.display(), grouped(bytes.len()), Digest::of(&bytes)))?;
    Ok(0)
}
