//! Invalid records: each gets a result of its own, and the valid ones before and after it are staged.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::server::{Migration, shared};

/// A name, the bytes between valid records, and the errors: `CODE field`, several separated by `; `.
type Case = (&'static str, Vec<u8>, &'static str);

/// Returns lines that are no record of any kind.
fn no_records() -> Vec<Case> {
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let long = format!("{{\"surname\":\"{}\"}}", "x".repeat(256 * 1024));
    vec![
        ("words", b"not json".into(), "INVALID_JSON "),
        ("cut", br#"{"client_id":1,"#.into(), "INVALID_JSON "),
        ("two on a line", br#"{"client_id":1}{"client_id":2}"#.into(), "INVALID_JSON "),
        ("a comma after it", br#"{"client_id":1},"#.into(), "INVALID_JSON "),
        ("not a number", br#"{"client_id":NaN}"#.into(), "INVALID_JSON "),
        ("single quotes", b"{'client_id':1}".into(), "INVALID_JSON "),
        ("a control character", b"{\"client_id\":\"\x01\"}".into(), "INVALID_JSON "),
        ("half a surrogate", br#"{"\ud800":1}"#.into(), "INVALID_JSON "),
        ("byte order mark inside", b"\xef\xbb\xbf{\"client_id\":1}".into(), "INVALID_JSON "),
        ("array", br#"[{"client_id":1},{"client_id":2}]"#.into(), "NOT_AN_OBJECT "),
        ("number", b"1".into(), "NOT_AN_OBJECT "),
        ("text", br#""x""#.into(), "NOT_AN_OBJECT "),
        ("null", b"null".into(), "NOT_AN_OBJECT "),
        ("invalid UTF-8", b"{\"client_id\":\"\xff\xfe\"}".into(), "INVALID_ENCODING "),
        ("UTF-16", b"\xff\xfe{\0}\0".into(), "INVALID_ENCODING "),
        ("lists in lists", nested.into(), "NESTED_TOO_DEEP "),
        ("objects in objects", objects.into(), "NESTED_TOO_DEEP "),
        ("unclosed and deep", "[".repeat(10_000).into(), "NESTED_TOO_DEEP "),
        ("a key twice", br#"{"client_id":1,"birth_number":"706213","client_id":2}"#.into(), "DUPLICATE_FIELD "),
        ("a key twice by escape", br#"{"client_id":1,"\u0063lient_id":2}"#.into(), "DUPLICATE_FIELD "),
        ("too long", long.into(), "RECORD_TOO_LARGE "),
    ]
}

/// Returns records that are no client of the sample bank.
fn no_clients() -> Vec<Case> {
    let client = |text: &str| text.as_bytes().to_vec();
    vec![
        ("empty", client("{}"), "MISSING_KEY "),
        ("no key", client(r#"{"birth_number":"706213"}"#), "MISSING_KEY "),
        ("key is null", client(r#"{"client_id":null,"birth_number":"706213"}"#), "MISSING_KEY "),
        ("key is a list", client(r#"{"client_id":[1],"birth_number":"706213"}"#), "MISSING_KEY "),
        ("key is empty", client(r#"{"client_id":"","birth_number":"706213"}"#), "MISSING_KEY "),
        ("key beyond a double", client(r#"{"client_id":1e999,"birth_number":"706213"}"#), "INVALID_FORMAT client_id"),
        ("key is a word", client(r#"{"client_id":"x","birth_number":"706213"}"#), "INVALID_FORMAT client_id"),
        ("no date", client(r#"{"client_id":901,"birth_number":"709913"}"#), "INVALID_FORMAT birth_number"),
        ("a field is missing", client(r#"{"client_id":902}"#), "MISSING_REQUIRED_FIELD birth_number"),
        ("wrong type", client(r#"{"client_id":903,"birth_number":{}}"#), "INVALID_FORMAT birth_number"),
    ]
}

/// Returns a valid counterparty with one field replaced by a raw value.
fn with(field: &str, value: &str) -> Vec<u8> {
    let mut record = format!("{{\"referenceId\":\"{}\"", Uuid::from_u128(0xbad << 96));
    let known = [("type", r#""person""#), ("initials", r#""J.""#), ("surname", r#""Nováková""#)];
    for (name, usual) in known {
        if name != field {
            record += &format!(",\"{name}\":{usual}");
        }
    }
    record += &if value.is_empty() { "}".into() } else { format!(",\"{field}\":{value}}}") };
    record.into_bytes()
}

/// Returns counterparties with one invalid field: every kind of field, every wrong type.
fn wrong_fields() -> Vec<Case> {
    let amount = |amount: &str| with("income", &format!(r#"{{"amount":{amount},"currency":"EUR"}}"#));
    let thirty = "123456789012345678901234567890";
    let mut cases = vec![
        ("missing", with("surname", ""), "MISSING_REQUIRED_FIELD surname"),
        ("null", with("surname", "null"), "MISSING_REQUIRED_FIELD surname"),
        ("unknown", with("surnme", r#""x""#), "UNKNOWN_FIELD ?"),
        ("unknown inside", with("income", r#"{"amount":1,"currency":"EUR","tax":1}"#), "UNKNOWN_FIELD income.?"),
        (
            "a key twice inside",
            with("income", r#"{"amount":1,"currency":"EUR","amount":2}"#),
            "DUPLICATE_FIELD income.amount",
        ),
        ("beyond a double", amount("1e999"), "OUT_OF_RANGE income.amount"),
        ("below a double", amount("1e-999"), "OUT_OF_RANGE income.amount"),
        ("thirty digits", amount(thirty), "OUT_OF_RANGE income.amount"),
        ("thirty decimals", amount(&format!("0.{thirty}")), "OUT_OF_RANGE income.amount"),
        ("beyond the cent", amount("0.001"), "OUT_OF_RANGE income.amount"),
        ("negative", amount("-1"), "OUT_OF_RANGE income.amount"),
        ("amount as text", amount(r#""1""#), "INVALID_FORMAT income.amount"),
        ("no such currency", with("income", r#"{"amount":1,"currency":"EURO"}"#), "INVALID_VALUE income.currency"),
        ("no such word", with("type", r#""robot""#), "INVALID_VALUE type"),
        ("no such country", with("nationalities", r#"["CZ","XX"]"#), "INVALID_VALUE nationalities[1]"),
        ("no such day", with("birthDate", r#""1970-02-30""#), "INVALID_FORMAT birthDate"),
        ("blank", with("surname", r#"" ""#), "INVALID_VALUE surname"),
        ("a NUL", with("surname", r#""\u0000""#), "INVALID_FORMAT surname"),
        ("several", with("isActive", r#""yes","initials":"x","surname":""#), "INVALID_JSON "),
    ];
    let kinds = [
        ("type", "INVALID_FORMAT type"),
        ("isActive", "INVALID_FORMAT isActive"),
        ("surname", "INVALID_FORMAT surname"),
        ("birthDate", "INVALID_FORMAT birthDate"),
        ("nationalities", "INVALID_FORMAT nationalities"),
        ("income", "INVALID_FORMAT income"),
        ("emailAddresses", "INVALID_FORMAT emailAddresses"),
        ("addresses", "INVALID_FORMAT addresses"),
        ("relations", "INVALID_FORMAT relations"),
        ("associatedParties", "INVALID_FORMAT associatedParties"),
    ];
    for (field, expected) in kinds {
        cases.push((field, with(field, "1.5"), expected));
    }
    for (field, expected) in &kinds[..4] {
        cases.push((field, with(field, "{}"), expected));
        cases.push((field, with(field, "[]"), expected));
    }
    cases
}

/// Returns counterparties without a valid reference id.
fn without_reference_id() -> Vec<Case> {
    vec![
        ("empty", b"{}".into(), "MISSING_REQUIRED_FIELD referenceId; MISSING_REQUIRED_FIELD type"),
        (
            "reference id is no UUID",
            br#"{"referenceId":"1","type":"organisation","name":"x"}"#.into(),
            "INVALID_FORMAT referenceId",
        ),
        (
            "reference id is a number",
            br#"{"referenceId":1,"type":"organisation","name":"x"}"#.into(),
            "INVALID_FORMAT referenceId",
        ),
        (
            "reference id is nil",
            br#"{"referenceId":"00000000-0000-0000-0000-000000000000","type":"organisation","name":"x"}"#.into(),
            "INVALID_VALUE referenceId",
        ),
    ]
}

fn counterparty(number: usize) -> Vec<u8> {
    let id = Uuid::from_u128(number as u128 + 1);
    json!({"referenceId": id, "type": "organisation", "name": number.to_string()}).to_string().into()
}

fn client(number: usize) -> Vec<u8> {
    json!({"client_id": number, "birth_number": "706213"}).to_string().into()
}

fn errors(result: &Value) -> String {
    let errors = result["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let errors_of = |error: &Value| format!("{} {}", error["code"].as_str().unwrap(), error["field"].as_str().unwrap());
    errors.iter().map(errors_of).collect::<Vec<_>>().join("; ")
}

/// Uploads every case between two valid records, and checks each result. Afterwards exactly the valid records are
/// staged.
async fn check(migration: &Migration, path: &str, cases: Vec<Case>, of_source: bool, good: fn(usize) -> Vec<u8>) {
    let mut body = vec![];
    for (number, (_, bad, _)) in cases.iter().enumerate() {
        body.extend([good(number), b"\n".to_vec(), bad.clone(), b"\n".to_vec()].concat());
    }
    body.extend(good(cases.len()));
    let answer = migration.put_as(path, "application/jsonl", body).await;
    assert_eq!(answer.status, 200);
    let results = answer.lines();
    assert_eq!(results.len(), cases.len() * 2 + 1, "each record has a result: {:?}", results.last());
    for (line, result) in results.iter().enumerate() {
        let (name, _, expected) = &cases[line.min(cases.len() * 2 - 1) / 2];
        // A repeated field has its name if it is declared: of a source these are the fields of its key.
        let named = of_source && *expected == "DUPLICATE_FIELD ";
        let expected = if named { "DUPLICATE_FIELD client_id" } else { expected };
        let good = line % 2 == 0;
        assert_eq!(result["isSuccessful"], good, "{name}: {result}");
        assert_eq!(errors(result), if good { "" } else { expected }, "{name}: {result}");
        // A record without a reference id is identified by its line.
        if of_source || result["referenceId"].is_null() {
            assert_eq!(result["line"], line + 1, "{name}: {result}");
        }
        assert_eq!(result.get("outcome").is_some(), of_source, "{name}: {result}");
    }
    let staged = migration.staged("counterparty-management", "counterparties").await;
    assert_eq!(staged.len(), cases.len() + 1, "exactly the valid records are staged");
    // The list has each error with its line and code, in the same order.
    let issues = migration.issues("load").await;
    let listed: Vec<(usize, &str)> =
        issues.iter().map(|i| (i["line"].as_u64().unwrap() as usize, i["code"].as_str().unwrap())).collect();
    let errors_of = results.iter().zip(1..).flat_map(|(result, line)| {
        let errors = result["errors"].as_array().into_iter().flatten();
        errors.map(move |error| (line, error["code"].as_str().unwrap()))
    });
    assert_eq!(listed, errors_of.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_invalid_platform_records() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let cases = [no_records(), wrong_fields(), without_reference_id()].concat();
    let path = migration.staging("counterparty-management", "counterparties");
    check(&migration, &path, cases, false, counterparty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_invalid_source_records() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    let cases = [no_records(), no_clients()].concat();
    check(&migration, &migration.path("/sources/client"), cases, true, client).await;
}
