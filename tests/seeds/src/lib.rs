//! Seed inputs of the fuzz targets, which every property test runs too, and generated tables with random damage.

mod damaged_table;
mod random;

use std::path::Path;

pub use damaged_table::DamagedTable;
pub use random::Random;

/// Returns the contents of every seed file of a fuzz target.
///
/// # Panics
///
/// Panics if the target has no seeds, because a property test without them would test less than its name says.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let seeds: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "{} has no seed", folder.display());
    seeds
}
