//! Checks that the SDK's bindings, `plugins/sdk/src/bindings/`, are those that wit-bindgen generates from the contract
//! in `wit/`.
//!
//! The bindings are checked in because the generator takes longer to compile than the SDK. This test is in this package
//! because it must also run while the SDK does not compile. After a change of the contract, or an update of
//! wit-bindgen, this command writes the bindings again:
//!
//! ```text
//! SLUICE_BLESS=1 cargo test -p sluice-guest-builder --test bindings
//! ```

use std::path::Path;
use std::{env, fs};

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};
use wit_bindgen_rust::{Opts, WithOption};

/// Worlds of the contract. The bindings of the first world define the types that the others share with it.
const WORLDS: [&str; 3] = ["mapper", "domain", "platform"];

/// Interfaces that every world imports.
const SHARED: [&str; 2] = ["types", "log"];

/// Returns the source of a world's bindings.
fn generate(root: &Path, world: &str) -> String {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join("wit")).expect("the contract must be valid");
    let id = resolve.select_world(&[package], Some(world)).expect("the contract must have the world");

    let shared = |interface: &&str| {
        let path = format!("crate::bindings::{}::sluice::plugin::{interface}", WORLDS[0]);
        (format!("sluice:plugin/{interface}@0.1.0"), WithOption::Path(path))
    };
    let options = Opts {
        format: true,
        pub_export_macro: true,
        export_macro_name: Some(format!("export_{world}")),
        default_bindings_module: Some(format!("sluice_sdk::bindings::{world}")),
        with: if world == WORLDS[0] { vec![] } else { SHARED.iter().map(shared).collect() },
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, id, &mut files).expect("the world must have bindings");
    let (_, source) = files.iter().next().expect("the generator must write one file");
    String::from_utf8(source.to_vec()).expect("source is UTF-8")
}

#[test]
fn bindings_match_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace is two folders up");
    let folder = root.join("plugins/sdk/src/bindings");
    for world in WORLDS {
        let path = folder.join(world).with_extension("rs");
        let generated = generate(root, world);
        if env::var_os("SLUICE_BLESS").is_some() {
            fs::create_dir_all(&folder).expect("the folder must be writable");
            fs::write(&path, &generated).expect("the file must be writable");
        }
        assert!(
            fs::read_to_string(&path).is_ok_and(|source| source == generated),
            "plugins/sdk/src/bindings/{world}.rs differs from the bindings of the contract. \
             Run `SLUICE_BLESS=1 cargo test -p sluice-guest-builder --test bindings` to write it again"
        );
    }
}
