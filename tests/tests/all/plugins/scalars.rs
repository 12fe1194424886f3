//! One grammar of scalars: the table `tests/cases/scalars/table.tsv` runs against the SDKs in Rust, JavaScript and Python,
//! and against direct uploads.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sluice_sdk::harness::Harness;
use sluice_sdk::prelude::*;
use sluice_sdk::{fraction_digits, is_country};

use crate::harness::server::shared;
use crate::harness::tools;

/// A row of the table.
struct Scalar {
    kind: &'static str,
    /// The value as raw JSON.
    raw: &'static str,
    /// Result of the SDKs: the value as it is written, or the code of the issue.
    sdk: &'static str,
    /// Result of a direct upload: `ok`, the code of the issue, or `-` if the platform has no such field.
    direct: &'static str,
}

/// Returns the rows of the table.
fn table() -> Vec<Scalar> {
    let lines = include_str!("../../../cases/scalars/table.tsv").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [kind, raw, sdk, direct] => Scalar { kind, raw, sdk, direct },
            _ => panic!("{line}"),
        })
        .collect()
}

/// A mapper that reads one scalar of the kind that its source is called after, and writes it.
struct Scalars;

macro_rules! read {
    ($record:expr, $out:expr, $kind:ty $(, $with:literal)?) => {{
        reads! { struct Read { $(#[serde(deserialize_with = $with)])? value: $kind } }
        let Read { value } = $record.parse()?;
        put($out, &value);
    }};
}

fn put<T: sluice_sdk::serde::Serialize>(out: &mut Output, value: &T) {
    writes! { struct Written<'a, T> { value: &'a T } }
    out.put("scalars", &Written { value });
}

impl Mapper for Scalars {
    fn describe() -> Description {
        let kinds = ["amount", "integer", "unsigned", "number", "date", "id", "currency", "country"];
        let description = Description::new("scalars", "0.1.0").produces("scalars");
        kinds.iter().fold(description, |all, kind| all.source(kind, &["value"]))
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        reads! { struct Text { value: String } }
        let text = || record.parse::<Text>().map(|read| read.value);
        let refused = || finding("INVALID_FORMAT", "value");
        match record.source {
            "amount" => read!(record, out, Amount),
            "integer" => read!(record, out, i64),
            "unsigned" => read!(record, out, u64),
            "number" => read!(record, out, u64, "number"),
            "id" => read!(record, out, Id),
            "date" => read!(record, out, Date),
            "currency" => put(out, &fraction_digits(&text()?).ok_or_else(refused)?),
            _ => put(out, &is_country(&text()?).then_some(true).ok_or_else(refused)?),
        }
        Ok(())
    }
}

/// Returns the result of the SDK in Rust.
fn in_rust(kind: &str, raw: &str) -> String {
    let mapped = Harness::new().map::<Scalars>(kind, &format!("{{\"value\":{raw}}}"));
    if let Some(issue) = mapped.made.issues.first() {
        return issue.code.clone();
    }
    let written = String::from_utf8(mapped.made.produced[0].records.bytes.clone()).unwrap();
    written["{\"value\":".len()..written.len() - 1].to_owned()
}

/// Returns all codes of countries, and all codes of currencies with their fraction digits, that the SDK in Rust knows.
fn codes() -> [String; 2] {
    let pairs: Vec<String> =
        ('A'..='Z').flat_map(|first| ('A'..='Z').map(move |next| format!("{first}{next}"))).collect();
    let countries: Vec<&str> = pairs.iter().map(String::as_str).filter(|code| is_country(code)).collect();
    let triples = pairs.iter().flat_map(|pair| ('A'..='Z').map(move |next| format!("{pair}{next}")));
    let currencies = triples.filter_map(|code| fraction_digits(&code).map(|digits| format!("{code}{digits}")));
    [countries.join(" "), currencies.collect::<Vec<_>>().join(" ")]
}

/// Returns the path of a file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Asserts that a runner of another language gives the results of the table, and knows the same codes.
fn check_runner(program: &str, runner: &str, sdk: &str) {
    let mut command = Command::new(program);
    command.arg(file(runner)).arg(file(sdk)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.env("PYTHONDONTWRITEBYTECODE", "1").spawn().unwrap();
    let input: String = table().iter().map(|row| format!("{}\t{}\n", row.kind, row.raw)).collect();
    let mut stdin = running.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let done = running.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert!(done.status.success(), "{program}");
    let out = String::from_utf8(done.stdout).unwrap();
    let results: Vec<&str> = out.lines().collect();
    let rows = table();
    assert_eq!(results.len(), rows.len() + 2, "{program}");
    for (row, result) in rows.iter().zip(&results) {
        assert_eq!(*result, row.sdk, "{program}: {} {}", row.kind, row.raw);
    }
    assert_eq!(results[rows.len()..], codes(), "{program}: countries and currencies");
}

#[test]
fn sdk_in_rust_follows_the_table() {
    for row in table() {
        assert_eq!(in_rust(row.kind, row.raw), row.sdk, "{} {}", row.kind, row.raw);
    }
}

#[test]
fn sdk_in_javascript_follows_the_table() {
    if tools::available(&tools::NPM, "plugins::scalars::sdk_in_javascript_follows_the_table", "node --version") {
        check_runner("node", "tests/cases/scalars/runner.mjs", "plugins/templates/javascript/sluice");
    }
}

#[test]
fn sdk_in_python_follows_the_table() {
    if tools::available(&tools::PYTHON, "plugins::scalars::sdk_in_python_follows_the_table", "python3 --version") {
        check_runner("python3", "tests/cases/scalars/runner.py", "plugins/templates/python");
    }
}

/// Returns a platform record with this value, and the path of its field.
fn platform_record(kind: &str, raw: &str, number: usize) -> (String, &'static str) {
    let id = uuid::Uuid::from_u128(0x5ca1_a000 << 96 | 4 << 76 | 8 << 60 | number as u128);
    if kind == "integer" {
        let zero = r#"{"amount":0,"currency":"EUR"}"#;
        let installment = format!(r#"{{"number":{raw},"dueDate":"2024-01-31","principal":{zero},"interest":{zero}}}"#);
        let record = format!(
            r#"{{"referenceId":"{id}","agreementReferenceId":"{id}","facilityReferenceId":"{id}","outstandingPrincipal":{zero},"installments":[{installment}]}}"#
        );
        return (record, "installments[0].number");
    }
    let (field, path) = match kind {
        "amount" => (format!(r#""income":{{"amount":{raw},"currency":"CLF"}}"#), "income.amount"),
        "currency" => (format!(r#""income":{{"amount":1,"currency":{raw}}}"#), "income.currency"),
        "date" => (format!(r#""birthDate":{raw}"#), "birthDate"),
        "country" => (format!(r#""nationalities":[{raw}]"#), "nationalities[0]"),
        _ => {
            let rest = r#""addressLine1":"x","postalCode":"x","locality":"x","countryCode":"CZ""#;
            (format!(r#""addresses":[{{"referenceId":{raw},{rest}}}]"#), "addresses[0].referenceId")
        }
    };
    (format!(r#"{{"referenceId":"{id}","type":"person","initials":"x","surname":"x",{field}}}"#), path)
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_upload_follows_the_table() {
    let migration = shared().register(None, &["Counterparties", "Administrate"]).await;
    let entities = [("counterparty-management", "counterparties"), ("administrate", "payment-administrations")];
    for (domain, entity_type) in entities {
        let is_here = |row: &Scalar| row.direct != "-" && (row.kind == "integer") == (domain == "administrate");
        let rows: Vec<Scalar> = table().into_iter().filter(is_here).collect();
        assert!(rows.len() > 30, "{entity_type}");
        let records: Vec<_> =
            rows.iter().enumerate().map(|(number, row)| platform_record(row.kind, row.raw, number)).collect();
        let body: String = records.iter().map(|(record, _)| format!("{record}\n")).collect();
        let answer = migration.stage(domain, entity_type, body).await;
        let results = answer.lines();
        assert_eq!(results.len(), rows.len(), "{}", answer.body);
        for ((row, (_, path)), result) in rows.iter().zip(&records).zip(&results) {
            let what = format!("{} {}: {result}", row.kind, row.raw);
            assert_eq!(result["isSuccessful"], row.direct == "ok", "{what}");
            if row.direct != "ok" {
                let field = if row.direct == "INVALID_JSON" { "" } else { path };
                let error = &result["errors"][0];
                assert_eq!(
                    (error["code"].as_str(), error["field"].as_str()),
                    (Some(row.direct), Some(field)),
                    "{what}"
                );
            }
        }
    }
}

/// The case file has amounts with underscores, and with more digits than fit.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_amounts_that_are_not_exact() {
    let migration = shared().register(Some("berka"), &["Collaterals"]).await;
    let table = include_str!("../../../cases/10b-amounts-min.csv");
    let answer = migration.put_as(&migration.path("/sources/property"), "text/csv", table).await;
    let results = answer.lines();
    assert_eq!(results.len(), 5, "{}", answer.body);
    for result in results {
        let error = &result["errors"][0];
        assert_eq!(
            (error["code"].as_str(), error["field"].as_str()),
            (Some("INVALID_FORMAT"), Some("value")),
            "{result}"
        );
    }
}
