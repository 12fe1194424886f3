//! A mapper that imports an interface that no host offers.

use bindings::exports::sluice::plugin::mapping::{Batch, Context, Description, Guest as Mapping, Transformed};

/// Bindings of a world that imports the interface `secrets`.
mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package sluice:elsewhere;

            interface secrets {
                read: func(name: string) -> string;
            }

            world nosy {
                import secrets;
                export sluice:plugin/mapping@0.1.0;
            }
        ",
        world: "sluice:elsewhere/nosy",
        with: {
            "sluice:plugin/types@0.1.0": sluice_guest_kit::sluice_sdk::bindings::types,
        },
    });
}

pub struct Guest;

impl Mapping for Guest {
    fn describe() -> Description {
        Description {
            name: "unoffered-import".into(),
            version: bindings::sluice::elsewhere::secrets::read("version"),
            sources: vec![],
            entity_types: vec![],
            codes: vec![],
        }
    }

    fn transform(_context: Context, _source: String, _records: Batch) -> Transformed {
        Transformed { produced: vec![], skipped: vec![], issues: vec![] }
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Guest with_types_in bindings);
