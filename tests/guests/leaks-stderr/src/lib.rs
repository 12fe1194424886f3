//! A mapper that writes every record to standard error and then panics.

use bindings::exports::sluice::plugin::mapping::{Batch, Context, Description, Guest as Mapping, Source, Transformed};
use bindings::wasi::cli::stderr::get_stderr;

/// Bindings of a world that imports standard error and exports `mapping`.
mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package sluice:loud;

            world loud {
                import wasi:cli/stderr@0.2.0;
                export sluice:plugin/mapping@0.1.0;
            }

            package wasi:io@0.2.0 {
                interface error {
                    resource error;
                }
                interface streams {
                    use error.{error};
                    variant stream-error {
                        last-operation-failed(error),
                        closed,
                    }
                    resource output-stream {
                        blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
                    }
                }
            }

            package wasi:cli@0.2.0 {
                interface stderr {
                    use wasi:io/streams@0.2.0.{output-stream};
                    get-stderr: func() -> output-stream;
                }
            }
        ",
        world: "sluice:loud/loud",
        with: {
            "sluice:plugin/types@0.1.0": sluice_guest_kit::sluice_sdk::bindings::types,
        },
        generate_all,
    });
}

pub struct Guest;

impl Mapping for Guest {
    fn describe() -> Description {
        let key = vec!["client_id".into()];
        Description {
            name: "leaks-stderr".into(),
            version: "0.1.0".into(),
            sources: vec![Source { name: "client".into(), key, lookups: vec![], fields: vec![] }],
            entity_types: vec![],
            codes: vec![],
        }
    }

    fn transform(_context: Context, _source: String, records: Batch) -> Transformed {
        let _ = get_stderr().blocking_write_and_flush(&records.bytes[..records.bytes.len().min(4_096)]);
        panic!("the records were written to standard error");
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Guest with_types_in bindings);
