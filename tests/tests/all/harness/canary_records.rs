//! Records with a canary in every field that accepts one: of a synthetic bank, of a lender without a mapper, and
//! invalid variants of both.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sluice_demo::{Bank, SpoilRate, tables};

use crate::harness::canary::Canaries;
use crate::harness::lender::{Lender, TYPES};

/// Number of customers of the bank. With fewer, a sum could be over one record and equal its amount.
const CUSTOMERS: u64 = 700;

/// Fields whose words select a rule of the mapper. Valid records keep them, so that later rules run. Invalid records
/// have canaries in them.
const DECIDING: &[&str] = &["k_symbol", "status", "kind", "birth_number"];

/// Fields of dates and small numbers: six digits are too few to search for.
const SMALL: &[&str] = &["date", "duration", "rank", "valued", "issued", "A1", "A4", "A11"];

/// Returns the bank's tables in upload order, each as lines: valid with canaries, or invalid.
pub fn bank(canaries: &mut Canaries, spoiled: bool) -> Vec<(&'static str, Vec<u8>)> {
    let spoil = if spoiled { SpoilRate::parse("0.13").unwrap() } else { vec![] };
    let bank = Bank { customers: CUSTOMERS, seed: 7, spoil };
    let mut keys = HashMap::new();
    let mut planted = vec![];
    for table in tables() {
        let lines: Vec<u8> = bank.records(table).unwrap().flatten().collect();
        let mut out = vec![];
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Map<String, Value>>(line) {
                Ok(record) => out.extend(json!(row(canaries, &mut keys, record, spoiled)).to_string().into_bytes()),
                Err(_) => out.extend(broken(canaries, line)),
            }
            out.push(b'\n');
        }
        if spoiled {
            no_records(canaries).into_iter().for_each(|line| out.extend([line.as_slice(), b"\n"].concat()));
        }
        planted.push((table, out));
    }
    planted
}

/// Returns a row with canaries. Equal numbers get equal canaries, so that references between rows stay valid.
fn row(
    canaries: &mut Canaries,
    keys: &mut HashMap<(String, String), u64>,
    record: Map<String, Value>,
    spoiled: bool,
) -> Map<String, Value> {
    let plant = |(name, value): (String, Value)| {
        let planted = match &value {
            Value::Number(number) if name.ends_with("_id") => {
                json!(keys.entry((name.clone(), number.to_string())).or_insert_with(|| canaries.number()))
            }
            Value::Number(_) if SMALL.contains(&name.as_str()) => value,
            // A payment may not exceed the loan, and no amount may be negative.
            Value::Number(number) if number.to_string().starts_with('-') => json!(-(canaries.number() as i64)),
            Value::Number(_) if name == "amount" && record_is_loan(&record) => json!(canaries.number() * 10),
            Value::Number(_) => json!(canaries.number()),
            Value::String(text) if DECIDING.contains(&name.as_str()) && !(spoiled && is_spoiled(text)) => value,
            Value::String(text) if text == "OWNER" || text == "DISPONENT" => value,
            Value::String(_) => json!(canaries.text()),
            _ => value,
        };
        (name, planted)
    };
    record.clone().into_iter().map(plant).collect()
}

fn record_is_loan(record: &Map<String, Value>) -> bool {
    record.contains_key("duration")
}

/// Returns true for words that only invalid records contain.
fn is_spoiled(text: &str) -> bool {
    ["X", "HRAD", "much"].contains(&text)
}

/// Returns an invalid JSON line with a canary.
fn broken(canaries: &mut Canaries, line: &[u8]) -> Vec<u8> {
    let canary = canaries.text();
    match line.strip_prefix(b"{") {
        Some(rest) => [format!("{{\"{canary}\":\"{canary}\",").as_bytes(), rest].concat(),
        None => [canary.as_bytes(), b";", line].concat(),
    }
}

/// Lines that are no record of any kind. `@` is a new canary each time. Lines of invalid UTF-8 are added in code.
const TEMPLATES: &[&str] = &[
    "@",
    "\"@\"",
    "[\"@\"]",
    "'@'",
    "{\"@\"",
    "{\"@\":",
    "{\"@\":\"@\"",
    "{\"@\":\"@\"}{\"@\":\"@\"}",
    "{\"@\":\"@\"},",
    "{\"@\":NaN}",
    "{\"@\":\"@\\q\"}",
    "{\"@\":\"@\\ud800\"}",
    "{\"@\":\"@\u{1}\"}",
    "{@:\"@\"}",
    "{\"@\":@}",
    "{\"@\":\"@\",\"@\":\"@\"}",
    "{\"a@\":1,\"a@\":\"@\",\"a\":\"@\",\"a\":\"@\"}",
    "{\"client_id\":1,\"client_id\":\"@\"}",
    "{\"client_id\":\"@\",\"\\u0063lient_id\":\"@\"}",
    "{\"client_id\":\"@\",\"birth_number\":\"@\",\"@\":{\"@\":[\"@\"]}}",
    "{\"client_id\":{\"@\":\"@\"},\"birth_number\":[\"@\"]}",
    "{\"client_id\":[\"@\"],\"loan_id\":[\"@\"]}",
    "{\"client_id\":1e999,\"birth_number\":\"@\"}",
    "{\"client_id\":2,\"birth_number\":{\"@\":\"@\"}}",
    "{\"referenceId\":\"@\",\"type\":\"@\",\"@\":\"@\"}",
    "{\"referenceId\":{\"@\":\"@\"}}",
    "\u{feff}{\"@\":\"@\"}",
];

fn no_records(canaries: &mut Canaries) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = TEMPLATES.iter().map(|template| fill(canaries, template).into_bytes()).collect();
    let canary = canaries.text();
    lines.push([b"{\"client_id\":\"", canary.as_bytes(), b"\xff\xfe\"}"].concat());
    lines.push([b"\xff\xfe{\0", canary.as_bytes(), b"}\0"].concat());
    lines.push(format!("{{\"a\":{}\"{canary}\"{}}}", "[".repeat(100), "]".repeat(100)).into_bytes());
    lines.push(format!("{{\"surname\":\"{}\"}}", canary.repeat(20_000)).into_bytes());
    lines
}

/// Replaces each `@` of a template with a new canary.
pub fn fill(canaries: &mut Canaries, template: &str) -> String {
    let mut parts = template.split('@');
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        filled += &canaries.text();
        filled += part;
    }
    filled
}

/// Words and numbers that a valid record of a lender must keep.
const FIXED: &[&str] =
    &["type", "status", "role", "repaymentMethod", "currency", "frequency", "countryCode", "scheme", "termInMonths"];

/// Returns a lender's records: entity type, domain path, valid records with canaries, and invalid ones.
pub fn lender(canaries: &mut Canaries, lender: &Lender) -> Vec<(&'static str, &'static str, String, String)> {
    let mut all = vec![];
    for (domain, entity_type) in TYPES {
        let mut sound = String::new();
        let mut spoiled = no_records(canaries)
            .iter()
            .map(|line| String::from_utf8_lossy(line).replace('\n', " ") + "\n")
            .collect::<String>();
        for number in 1..=3 {
            let mut record = lender.record(entity_type, number);
            if *entity_type == "debit-mandates" {
                // An account of a SEPA mandate is an IBAN, and a canary is none.
                record["scheme"] = json!("DOMESTIC");
            }
            texts(canaries, &mut record, "");
            sound += &format!("{record}\n");
            for pointer in pointers(&record) {
                for wrong in [json!("@"), json!({"@": "@"}), json!(["@"]), json!(7_391)] {
                    let mut wrongly = record.clone();
                    *wrongly.pointer_mut(&pointer).unwrap() = wrong;
                    spoiled += &(fill(canaries, &wrongly.to_string()) + "\n");
                }
                let mut more = record.clone();
                if let Some(object) = more.pointer_mut(&pointer).and_then(Value::as_object_mut) {
                    object.insert("@".into(), json!({"@": "@"}));
                    spoiled += &(fill(canaries, &more.to_string()) + "\n");
                }
            }
        }
        all.push((*domain, *entity_type, sound, spoiled));
    }
    all
}

/// Replaces every free text with a canary.
fn texts(canaries: &mut Canaries, value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| texts(canaries, value, name)),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(canaries, item, name)),
        Value::String(text) if is_free(name, text) => *text = canaries.text(),
        _ => {}
    }
}

fn is_free(name: &str, text: &str) -> bool {
    let date = name == "date" || name.ends_with("Date");
    !FIXED.contains(&name) && !date && uuid::Uuid::try_parse(text).is_err()
}

/// Returns the JSON pointer of every value in a record, such as `/addresses/0/postalCode`.
fn pointers(record: &Value) -> Vec<String> {
    let mut all = vec![];
    let inner: Vec<(String, &Value)> = match record {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => vec![],
    };
    for (name, value) in inner {
        all.push(format!("/{name}"));
        all.extend(pointers(value).into_iter().map(|rest| format!("/{name}{rest}")));
    }
    all
}
