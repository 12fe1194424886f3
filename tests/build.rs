//! Builds every folder of `guests/` into a component and embeds it.

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

    let components = build(root, &packages, &out_dir)?;
    fs::write(out_dir.join("guests.rs"), list("GUESTS", PREFIX, &components))?;
    Ok(())
}
