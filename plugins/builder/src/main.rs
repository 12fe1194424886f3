//! Builds plugins of this workspace into components: `sluice-guest-builder PACKAGE…`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sluice_guest_builder::build_in;

fn main() -> Result<()> {
    let packages: Vec<String> = std::env::args().skip(1).collect();
    ensure!(!packages.is_empty(), "name one or more packages of this workspace, such as sluice-mapper-smallest");
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("this package has no workspace")?;
    let out_dir = root.join("target/plugins");
    std::fs::create_dir_all(&out_dir)?;
    for component in build_in(root, &packages, &out_dir, &root.join("target/guests"))? {
        println!("{}", component.strip_prefix(root).unwrap_or(&component).display());
    }
    Ok(())
}
