//! Build script: compiles the platform's domain plugins, the sample mapper and the platform plugins, and embeds them
//! and the templates of plugin projects.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use sluice_guest_builder::{build, list};

const DOMAINS: [&str; 5] = [
    "sluice-domain-counterparties",
    "sluice-domain-collaterals",
    "sluice-domain-financing-solution",
    "sluice-domain-financing-execution",
    "sluice-domain-administrate",
];

const MAPPERS: [&str; 1] = ["sluice-mapper-berka"];

const PLATFORMS: [&str; 1] = ["sluice-platform-mambu"];

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the workspace is two folders up")?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);

    let packages: Vec<&str> = DOMAINS.into_iter().chain(MAPPERS).chain(PLATFORMS).collect();
    let components = build(root, &packages, &out_dir)?;
    let (domains, others) = components.split_at(DOMAINS.len());
    let (mappers, platforms) = others.split_at(MAPPERS.len());

    let code = list("EMBEDDED_DOMAINS", "sluice-domain-", domains)
        + &list("EMBEDDED_MAPPERS", "sluice-mapper-", mappers)
        + &list("EMBEDDED_PLATFORMS", "sluice-platform-", platforms);
    fs::write(out_dir.join("embedded.rs"), code)?;
    fs::write(out_dir.join("templates.rs"), templates(root)?)?;
    fs::write(out_dir.join("schemas.rs"), schemas(&root.join("docs/plugins/schemas"))?)?;
    Ok(())
}

/// Returns the source of a Rust static with the JSON Schemas in a folder: entity type and text.
fn schemas(folder: &Path) -> Result<String> {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut code =
        "/// JSON Schemas of the domain records: entity type and text.\npub static RECORD_SCHEMAS: &[(&str, &str)] = &[\n"
            .to_owned();
    for file in files {
        let entity_type = file.file_stem().context("a schema's file is called after its entity type")?;
        writeln!(code, "    ({:?}, include_str!({file:?})),", entity_type.display().to_string())?;
    }
    Ok(code + "];\n")
}

/// Project templates by language: folders and files of the workspace, and their places in the project.
const PROJECTS: [(&str, &[(&str, &str)]); 3] = [
    (
        "rust",
        &[
            ("plugins/templates/rust", ""),
            ("plugins/templates/shared", ""),
            ("wit", "wit"),
            ("plugins/sdk/src", "vendor/sluice-sdk/src"),
            ("Cargo.lock", "Cargo.lock"),
        ],
    ),
    ("javascript", &[("plugins/templates/javascript", ""), ("plugins/templates/shared", ""), ("wit", "wit")]),
    ("python", &[("plugins/templates/python", ""), ("plugins/templates/shared", ""), ("wit", "wit")]),
];

/// Returns the source of a Rust static with the files of each template: path in the project, and text.
fn templates(root: &Path) -> Result<String> {
    let mut code =
        "/// Files of a new project by language.\npub static PROJECTS: &[(&str, &[(&str, &str)])] = &[\n".to_owned();
    for (language, parts) in PROJECTS {
        writeln!(code, "    ({language:?}, &[")?;
        for (from, to) in parts {
            add(&root.join(from), Path::new(to), &mut code)?;
        }
        code += "    ]),\n";
    }
    Ok(code + "];\n")
}

/// Adds a file, or all files below a folder except the caches of tools.
fn add(from: &Path, to: &Path, code: &mut String) -> Result<()> {
    if from.is_file() {
        writeln!(code, "        ({to:?}, include_str!({from:?})),")?;
        return Ok(());
    }
    let mut entries = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| entry.file_name() != "__pycache__") {
        add(&entry.path(), &to.join(entry.file_name()), code)?;
    }
    Ok(())
}
