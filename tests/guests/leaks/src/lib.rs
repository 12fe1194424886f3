//! A mapper that leaks a value of a record into every output it has. `"poison"` names the output, `"secret"` is the
//! value.

use sluice_guest_kit::sluice_sdk::bindings::mapper::sluice::plugin::{log, source_lookup};
use sluice_guest_kit::sluice_sdk::prelude::*;
use sluice_guest_kit::sluice_sdk::{BatchBuilder, bindings::types::Severity};

reads! {
    struct Leak {
        client_id: u64,
        poison: String,
        secret: String,
    }
}

pub struct Guest;

impl Mapper for Guest {
    fn describe() -> Description {
        let clients = Description::new("leaks", "0.1.0").source("client", &["client_id"]).reads::<Leak>();
        clients.produces("counterparties")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let Leak { client_id, poison, secret } = record.parse()?;
        let id = record.reference_id("counterparties", client_id);
        let issue = |code: &str, field: String| finding(code, field);
        match poison.as_str() {
            "code" => return Err(issue(&secret, String::new())),
            "code-in-a-code" => return Err(issue(&format!("INVALID_{secret}"), String::new())),
            "rule" => return Err(rule(secret, "")),
            "field" => return Err(issue("INVALID_VALUE", secret)),
            "field-inside" => return Err(issue("INVALID_VALUE", format!("secret.{secret}.secret"))),
            "field-after-a-list" => return Err(issue("INVALID_VALUE", format!("secret[0].{secret}"))),
            "index" => return Err(issue("INVALID_VALUE", format!("secret[{secret}]"))),
            "unknown-field" => return Err(issue("UNKNOWN_FIELD", secret)),
            "warning" => out.report(issue(&secret, secret.clone()).warning()),
            "everything" => {
                let severity = Severity::Error;
                return Err(Finding { severity, code: secret.clone(), field: secret.clone(), rule: Some(secret) });
            }
            "skip" => {
                out.skip(&secret);
                return Ok(());
            }
            "log" => log::entry(log::Level::Error, &secret, None),
            "log-of-a-record" => log::entry(log::Level::Debug, &secret, Some(0)),
            "position" => log::entry(log::Level::Info, "INVALID_VALUE", Some(first_four(&secret))),
            "panic" => panic!("cannot map {secret}"),
            "panicked" => log::panicked(&secret),
            "slice" => drop(secret[..secret.len() * 2].to_owned()),
            "entity-type" => out.put(&secret, &json!({"referenceId": id})),
            "lookup-source" => look_up(&secret, "client_id", &secret),
            "lookup-field" => look_up("client", &secret, &secret),
            "lookup-key" => look_up("client", "client_id", &secret),
            "reference-id" => {
                let mut bytes = [b'.'; 16];
                bytes.iter_mut().zip(secret.bytes()).for_each(|(byte, letter)| *byte = letter);
                let id = record_id(&bytes);
                out.put("counterparties", &json!({"referenceId": id, "type": "organisation", "name": secret}));
                return Ok(());
            }
            "made-key" => {
                let mut made = json!({"referenceId": id, "type": "organisation", "name": "x"});
                made[secret.as_str()] = json!(secret);
                out.put("counterparties", &made);
                return Ok(());
            }
            "made-word" => {
                out.put("counterparties", &json!({"referenceId": id, "type": secret, "name": secret}));
                return Ok(());
            }
            "made-text" => {
                out.put("counterparties", &json!(secret));
                return Ok(());
            }
            "none" => {}
            other => panic!("unknown leak: {other}"),
        }
        out.put("counterparties", &json!({"referenceId": id, "type": "organisation", "name": secret}));
        Ok(())
    }
}

mapper!(Guest);

/// Returns the first four bytes as a number.
fn first_four(secret: &str) -> u32 {
    secret.bytes().take(4).fold(0, |number, byte| number << 8 | u32::from(byte))
}

/// Returns 16 bytes as a UUID text.
fn record_id(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Looks up a key. Panics with all arguments if the host refuses.
fn look_up(source: &str, field: &str, key: &str) {
    let mut keys = BatchBuilder::default();
    keys.push(key.as_bytes());
    if let Err(error) = source_lookup::find(source, field, &keys.finish()) {
        panic!("{source} by {field} for {key}: {error:?}");
    }
}
