//! Builds the platform's domain plugins and the sample mapper, and embeds them into the binary.

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

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace is above")?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);

    let packages: Vec<&str> = DOMAINS.into_iter().chain(MAPPERS).collect();
    let components = build(root, &packages, &out_dir)?;
    let (domains, mappers) = components.split_at(DOMAINS.len());

    let code =
        list("EMBEDDED_DOMAINS", "sluice-domain-", domains) + &list("EMBEDDED_MAPPERS", "sluice-mapper-", mappers);
    fs::write(out_dir.join("embedded.rs"), code)?;
    Ok(())
}
