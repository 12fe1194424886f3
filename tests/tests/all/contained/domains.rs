//! Domain plugins that fail in each export: the host attributes every record's failure to them and loses no record.

use sluice_config::PluginLimits;
use sluice_contract::{Batch, Context, PluginError};
use sluice_model::Digest;
use sluice_plugin_host::{DomainPlugin, FailedRecord, Usage};

use sluice_tests::wat::domain;

/// Code of an export in WAT, and the code with which each record is quarantined; none if records are not quarantined.
const EXPORTS: &[(&str, &str, Option<&str>)] = &[
    ("traps", "unreachable", Some("PLUGIN_TRAPPED")),
    ("loops", "(loop $x (br $x)) (i32.const 8192)", Some("PLUGIN_TIMED_OUT")),
    ("answers beyond its memory", "(i32.const -64)", Some("PLUGIN_BROKE_CONTRACT")),
    ("answers at an odd place", "(i32.const 8193)", Some("PLUGIN_BROKE_CONTRACT")),
    ("answers with a list that never ends", "(i32.store (i32.const 8196) (i32.const -1)) (i32.const 8192)", LIST),
    ("answers nothing", "(i32.const 8192)", None),
];

const LIST: Option<&str> = Some("PLUGIN_BROKE_CONTRACT");

const RECORDS: usize = 3;

/// Returns the records on which an export failed.
fn broken(export: usize, plugin: &std::sync::Arc<DomainPlugin>) -> Result<Vec<FailedRecord>, PluginError> {
    let context = Context { migration: vec![7; 16], registered_on: "2026-01-31".into() };
    let mut instance = plugin.instance(context, None, &Usage::default());
    let batch = Batch { bytes: b"{}{}{}".to_vec(), ends: vec![2, 4, 6] };
    Ok(match export {
        0 => instance.validate("things", &batch)?.failed,
        1 => instance.plan("things", &batch)?.failed,
        _ => instance.generate("things", &batch)?.failed,
    })
}

#[test]
fn attributes_failures_in_each_export_to_the_plugin() {
    let limits = PluginLimits { batch_millis: 100, narrowing_millis: 50, ..PluginLimits::default() };
    let engine = crate::harness::engine(limits);
    for (does, code_of_export, code) in EXPORTS {
        for (export, name) in ["validate", "plan", "generate"].into_iter().enumerate() {
            let mut exports = ["unreachable"; 3];
            exports[export] = code_of_export;
            let bytes = domain(name, exports);
            let plugin = DomainPlugin::new(&engine, name, Digest::of(&bytes), &bytes).unwrap();
            let broken = broken(export, &plugin).unwrap();
            // Validation must return an id for each record; a plan and generated records may be empty.
            let expected = code.or((export == 0).then_some("PLUGIN_BROKE_CONTRACT"));
            let codes: Vec<&str> = broken.iter().map(|failed| failed.failure.cause.code()).collect();
            assert_eq!(codes, vec![expected.unwrap_or_default(); expected.map_or(0, |_| RECORDS)], "{name} {does}");
            assert!(broken.iter().all(|failed| failed.failure.plugin.to_string() == "hostile 0.1.0"));
            println!("| {name} | {does} | {} |", expected.unwrap_or("harmless"));
        }
    }
}
