//! Guarantees for a mapper's author: reading of records, answers of lookups, and checks of the harness.

use sluice_sdk::harness::Harness;
use sluice_sdk::prelude::*;

reads! {
    struct Branch { id: u64, town: String, manager: Option<Manager> }
    struct Manager { name: String, born: Option<u32> }
    struct Town { region: String }
    struct Word { word: String }
    struct Region { name: String }
}

/// A mapper with dependent lookups: a branch is in a town, and the town is in a region.
struct Branches;

impl Mapper for Branches {
    fn describe() -> Description {
        Description::new("branches", "0.1.0")
            .source("region", &["code"])
            .source("town", &["id"])
            .lookup("name")
            .source("branch", &["id"])
            .reads::<Branch>()
            .source("wild", &["id"])
            .source("silent", &["id"])
            .source("careless", &["id"])
            .code("BRANCHES_CLOSED")
            .produces("branches")
    }

    fn lookups(record: &Record, wanted: &mut Wanted) {
        match record.source {
            "wild" => wanted.find("town", "mayor", 1),
            "branch" => {
                let Ok(branch) = record.parse::<Branch>() else { return };
                wanted.find("town", "name", &branch.town);
                for town in record.find("town", "name", &branch.town) {
                    if let Ok(town) = town.parse::<Town>() {
                        wanted.find("region", "code", &town.region);
                    }
                }
            }
            _ => {}
        }
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        match record.source {
            "silent" => return Ok(()),
            "careless" => {
                let Word { word } = record.parse()?;
                return match word.split_once(' ') {
                    Some((code, field)) => Err(finding(code, field)),
                    None => {
                        out.skip(&word);
                        Ok(())
                    }
                };
            }
            _ => {}
        }
        let branch: Branch = record.parse()?;
        let towns = record.find("town", "name", &branch.town);
        let found = towns.len();
        let towns: Vec<Town> = towns.map(|town| town.parse()).collect::<Result<_, _>>()?;
        let regions = towns.iter().flat_map(|town| record.find("region", "code", &town.region));
        let regions: Vec<Region> = regions.map(|region| region.parse()).collect::<Result<_, _>>()?;
        let names: Vec<&String> = regions.iter().map(|region| &region.name).collect();
        let manager = branch.manager.map(|manager| (manager.name, manager.born));
        out.put("branches", &json!({ "id": branch.id, "manager": manager, "towns": found, "regions": names }));
        Ok(())
    }
}

mapper!(Branches);

fn harness() -> Harness {
    let harness = Harness::new();
    harness.load("region", r#"{"code": "JM", "name": "Moravia"}"#);
    harness.load("region", r#"{"code": 7, "name": "Bohemia"}"#);
    harness.load("town", r#"{"id": 1, "name": "Brno", "region": "JM"}"#);
    harness.load("town", r#"{"id": 2, "name": "Lhota", "region": "JM"}"#);
    harness.load("town", r#"{"id": 3, "name": "Lhota", "region": "7"}"#);
    harness
}

#[test]
fn answers_a_lookup_that_depends_on_another() {
    let cases = [
        (r#"{"id": 1, "town": "Brno"}"#, r#"{"id":1,"manager":null,"regions":["Moravia"],"towns":1}"#),
        (r#"{"id": 1, "town": "Lhota"}"#, r#"{"id":1,"manager":null,"regions":["Moravia","Bohemia"],"towns":2}"#),
        (r#"{"id": 1, "town": "Praha"}"#, r#"{"id":1,"manager":null,"regions":[],"towns":0}"#),
    ];
    let harness = harness();
    let all: Vec<&str> = cases.iter().map(|(record, _)| *record).collect();
    let made = harness.map::<Branches>("branch", &all.join("\n")).records("branches");
    for ((_, wanted), made) in cases.iter().zip(made) {
        assert_eq!(made.to_string(), *wanted);
    }
}

#[test]
fn reports_a_mismatch_at_its_field() {
    let cases: &[(&[u8], &str)] = &[
        (br#"{"id": 1}"#, "MISSING_REQUIRED_FIELD town"),
        (br#"{"id": "x", "town": "Brno"}"#, "INVALID_FORMAT id"),
        (br#"{"id": -1, "town": "Brno"}"#, "INVALID_FORMAT id"),
        (br#"{"id": 1, "town": null}"#, "INVALID_FORMAT town"),
        (br#"{"id": "Jan Novak", "town": "Brno"}"#, "INVALID_FORMAT id"),
        (br#"{"id": 1, "town": "Brno", "manager": {}}"#, "MISSING_REQUIRED_FIELD manager.name"),
        (br#"{"id": 1, "town": "Brno", "manager": "Jan Novak"}"#, "INVALID_FORMAT manager"),
        (br#"{"id": 1, "town": "Brno", "manager": {"name": ["Jan Novak"]}}"#, "INVALID_FORMAT manager.name"),
        (br#"{"id": 1, "town": "Brno", "manager": {"name": "Jan", "born": -5}}"#, "INVALID_FORMAT manager.born"),
        (br#"{"id": 1, "id": 1, "town": "Brno"}"#, "INVALID_FORMAT"),
        (br#"[]"#, "INVALID_FORMAT"),
        (br#"5;"Brno""#, "INVALID_JSON"),
        (br#"{"id": 1, "to"#, "INVALID_JSON"),
        (b"", "INVALID_JSON"),
        (b"{\"id\": 1, \"town\": \"\xFF\"}", "INVALID_ENCODING"),
    ];
    let harness = harness();
    let records: Vec<&[u8]> = cases.iter().map(|(record, _)| *record).collect();
    let wanted: Vec<String> =
        cases.iter().enumerate().map(|(position, (_, issue))| format!("{position} error {issue}")).collect();
    assert_eq!(harness.map_records::<Branches>("branch", &records).issues(), wanted);
}

#[test]
fn reports_both_records_that_share_a_split_character() {
    let issues = harness().map_records::<Branches>("branch", &[b"\"\xC3", b"\xA9\""]).issues();
    assert_eq!(issues, ["0 error INVALID_ENCODING", "1 error INVALID_ENCODING"]);
}

#[test]
fn reports_a_record_that_is_not_accounted_for() {
    assert_eq!(harness().map::<Branches>("silent", "{}").issues(), ["0 error NOT_ACCOUNTED_FOR"]);
}

/// The harness panics at a code or field that the mapper names without declaring it.
#[test]
fn panics_at_undeclared_codes_and_fields() {
    let cases = [
        ("BRANCHES_CLOSED", true),
        ("BRANCHES_SOLD", false),
        ("INVALID_VALUE id", true),
        ("INVALID_VALUE id[3].id", true),
        ("INVALID_VALUE ?", true),
        ("INVALID_VALUE id.Novak", false),
        ("UNKNOWN_FIELD id.Novak", true),
        ("UNKNOWN_FIELD Novak.id", false),
        ("NOVAK id", false),
    ];
    for (word, declared) in cases {
        let line = json!({ "word": word }).to_string();
        let outcome = std::panic::catch_unwind(|| harness().map::<Branches>("careless", &line).issues());
        assert_eq!(outcome.is_ok(), declared, "{word}: {outcome:?}");
    }
}

#[test]
#[should_panic(expected = "refused the lookup of source records of town")]
fn refuses_an_undeclared_lookup() {
    harness().map::<Branches>("wild", "{}");
}
