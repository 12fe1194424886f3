//! Builds every folder of `guests/`, and the smallest mapper, into components and embeds them.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use sluice_guest_builder::{build, list};

const PREFIX: &str = "sluice-guest-";

fn main() -> Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = tests.parent().context("the workspace is above")?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    for sources in ["guests", "guest-kit"] {
        println!("cargo:rerun-if-changed={}", tests.join(sources).display());
    }

    let mut packages = vec![];
    for folder in fs::read_dir(tests.join("guests"))? {
        packages.push(format!("{PREFIX}{}", folder?.file_name().display()));
    }
    packages.sort();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();

    let guests = list("GUESTS", PREFIX, &build(root, &packages, &out_dir)?);
    let mappers = list("MAPPERS", "sluice-mapper-", &build(root, &["sluice-mapper-smallest"], &out_dir)?);
    println!("cargo:rerun-if-changed={}", root.join("plugins/mappers/smallest").display());
    fs::write(out_dir.join("guests.rs"), guests + &mappers)?;
    Ok(())
}
