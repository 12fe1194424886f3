//! Files that inspection refuses in one sentence, before they read a record.

use std::time::Instant;

use sluice_config::PluginLimits;
use sluice_plugin_host::inspect;

use super::rows::{ExpectedResult, REFUSED};
use sluice_tests::wat::{Shape, component, description};

/// Returns files that are no component of the contract: a name, a description, the file, and words of the refusal.
fn raw() -> Vec<(&'static str, &'static str, Vec<u8>, &'static str)> {
    let honest = component("traps", Shape::Mapper);
    let text = |source: &str| wat::parse_str(source).unwrap();
    let many = |n: usize| format!("(component (core module {}))", "(func)".repeat(n));
    let large = format!("(component (core module (func {})))", "nop ".repeat(600_000));
    // Nine kilobytes that compile to 1.6 GB: the image of each module reaches from the first byte to the last.
    let image = "(core module (memory 256) (data (i32.const 0) \"a\") (data (i32.const 16777214) \"b\"))".repeat(100);
    // Half a megabyte that compiles for a minute and a half: each segment copies the table.
    let segments = "(elem (i32.const 99990) $f)".repeat(80_000);
    let segments =
        format!("(component (core module (import \"m\" \"t\" (table 100000 funcref)) (func $f) {segments}))");
    let beyond = "(component (core module (table 100 funcref) (func $f) (elem (i32.const 4000000000) $f)))";
    let globals = |n: usize, instances: usize| {
        let module = format!("(core module $m {})", "(global i32 (i32.const 0))".repeat(n));
        format!("(component {module} {})", "(core instance (instantiate $m))".repeat(instances))
    };
    let modules = format!("(component {})", "(core module)".repeat(1_001));
    let types = format!("(component (core module {}))", "(type (func))".repeat(100_001));
    let data = format!("(component (core module (memory 1) {}))", "(data (i32.const 0) \"\")".repeat(100_001));
    let unoffered = r#"(component (import "wasi:http/handler@0.2.0" (instance (export "handle" (func)))))"#;
    vec![
        ("text", "A text", b"#!/bin/sh\n".to_vec(), "it is not WebAssembly"),
        ("core-module", "A core module", text("(module)"), "a core module, not a component"),
        (
            "cut-in-half",
            "The first half of a component",
            honest[..honest.len() / 2].to_vec(),
            "not a component that can be compiled",
        ),
        (
            "cut-at-the-end",
            "All but the last byte",
            honest[..honest.len() - 1].to_vec(),
            "not a component that can be compiled",
        ),
        ("empty-component", "A component of nothing", text("(component)"), "it exports neither sluice:plugin/mapping"),
        ("unoffered", "Imports what is never offered", text(unoffered), "it exports neither sluice:plugin/mapping"),
        ("nested-500-deep", "Components 500 deep", nested(500), "nested deeper than 16"),
        ("doubles-30-times", "Two of one that is two of one …", text(&doubling(30)), "more than 100000 instances"),
        ("functions-70000", "70,000 functions", text(&many(70_000)), "more than 60000 functions"),
        ("function-600-kb", "A function of 600 KB", text(&large), "one of its functions has 600"),
        ("image-1600-mib", "100 memories of 16 MiB in 9 KB", text(&format!("(component {image})")), "memory images"),
        ("segments-80000", "80,000 segments of elements", text(&segments), "more than 5000 segments of elements"),
        ("segment-beyond", "A segment at the end of all tables", text(beyond), "more than 1000000 elements of a table"),
        ("data-100001", "100,001 segments of data", text(&data), "more than 100000 segments of data"),
        ("globals-million", "1,000,000 globals", text(&globals(1_000_000, 1)), "more than 100000 globals"),
        ("globals-of-instances", "50,000 globals, 100 times", text(&globals(50_000, 100)), "more than 2000000 globals"),
        ("modules-1001", "1,001 core modules", text(&modules), "more than 1000 core modules"),
        ("types-100001", "100,001 types", text(&types), "more than 100000 types"),
        (
            "file-9-mib",
            "A file of 9 MiB",
            [honest, vec![0; 9 << 20]].concat(),
            "8388608 are allowed (plugin.file_bytes)",
        ),
    ]
}

/// Maximum time until a file is refused. A machine that is busy with other tests takes some of it.
const MOST_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// Returns components nested in components.
fn nested(depth: usize) -> Vec<u8> {
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
    (0..depth).fold(HEADER.to_vec(), |inner, _| {
        let mut outer = [HEADER, &[4]].concat();
        let mut length = inner.len();
        while length > 127 {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        [outer, inner].concat()
    })
}

/// Returns components that each instantiate the previous one twice.
fn doubling(times: usize) -> String {
    let twice = "(instance (instantiate $before)) (instance (instantiate $before))";
    let first = "(component $c0 (core module $m) (core instance (instantiate $m)))";
    let more = |n| format!("(component $c{n} (alias outer 1 {} (component $before)) {twice})", n - 1);
    format!("(component {first} {})", (1..times).map(more).collect::<String>())
}

#[test]
fn refuses_each_file_in_one_sentence() {
    let mut limits = PluginLimits { memory_bytes: 32 << 20, file_bytes: 8 << 20, ..PluginLimits::default() };
    limits.batch_millis = 300;
    let engine = crate::harness::engine(limits);
    let made = REFUSED.iter().map(|row| {
        let ExpectedResult::Refused(words) = row.fate else {
            panic!("{} has another expected result than a refusal", row.file)
        };
        (row.file, description(row.file), component(row.file, row.shape), words)
    });
    let all = raw()
        .into_iter()
        .map(|(name, description, file, words)| (name, description.to_owned(), file, words))
        .chain(made);
    let (mut lines, mut wrong) = (vec![], vec![]);
    for (name, description, file, expected) in all {
        let began = Instant::now();
        let message =
            inspect(&engine, name, None, &file).map(|_| ()).map_or_else(|error| error.to_string(), |()| String::new());
        let sentence = message.contains(name) && !message.contains('\n') && message.len() < 400;
        if !sentence || !message.contains(expected) {
            wrong.push(format!("{name}: not a sentence with {expected:?}: {message}"));
        }
        // Compiling is never begun for what is beyond a bound, and is killed when its time is up.
        if began.elapsed() > MOST_TIME {
            wrong.push(format!("{name}: refused after {:?}", began.elapsed()));
        }
        lines.push(format!("| {name} | {description} | refused: {expected} | {} ms |", began.elapsed().as_millis()));
    }
    println!("| file | what it is | what is said | after |\n|---|---|---|---|\n{}", lines.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
