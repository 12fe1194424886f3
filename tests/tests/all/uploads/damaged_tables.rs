//! Generated tables with random damage, uploaded: every line is accounted for.

use serde_json::Value;
use sluice_test_seeds::{DamagedTable, Random};

use crate::harness::server::{Answer, Migration, shared};
use crate::uploads::csv_tables::query_text;

/// Number of tables, unless `SLUICE_DAMAGED_UPLOADS` names another. `host/framing` checks more of them without a server.
const TABLES: u64 = 60;

/// Returns the number of lines, counted in the text.
fn count_lines(table: &DamagedTable) -> u64 {
    let (wide, low_first) = (table.charset.starts_with("utf-16"), table.charset.ends_with("le"));
    let characters: Vec<u16> = match wide {
        false => table.body.iter().map(|byte| u16::from(*byte)).collect(),
        true => {
            let pair = |pair: &[u8]| match *pair {
                [one, other] if low_first => u16::from_le_bytes([one, other]),
                [one, other] => u16::from_be_bytes([one, other]),
                _ => u16::MAX,
            };
            table.body.chunks(2).map(pair).collect()
        }
    };
    let (mut lines, mut open, mut returned) = (0, false, false);
    for character in characters {
        let end = matches!(character, 10 | 13);
        lines += u64::from(end && !(character == 10 && returned));
        (open, returned) = (!end, character == 13);
    }
    lines + u64::from(open)
}

fn check(name: &str, table: &DamagedTable, answer: &Answer, logged: &Value) {
    let results = answer.lines();
    assert!(results.iter().all(|result| result["problem"].is_null()), "{name}: {}", answer.body);
    let figures = &logged["items"][0]["figures"];
    assert_eq!(figures["lines"], count_lines(table), "{name}: {logged}");
    let mut next = 0;
    for result in results.iter().filter(|result| result["code"] != "NO_RECORDS") {
        let first = result["line"].as_u64().unwrap();
        assert!(first > next, "{name}: line {first} has one result: {}", answer.body);
        next = result["lastLine"].as_u64().unwrap_or(first);
    }
    assert!(next <= count_lines(table), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_accounted_for() {
    let count = std::env::var("SLUICE_DAMAGED_UPLOADS").ok().and_then(|count| count.parse().ok()).unwrap_or(TABLES);
    let mut accepted = 0;
    for seed in 0..count {
        let migration = shared().register(Some("berka"), &["Counterparties"]).await;
        let table = DamagedTable::new(&mut Random::new(seed), &["client_id", "birth_number"]);
        let name = format!("seed {seed}");
        let separator = char::from(table.separator).to_string();
        let query = query_text(&[("separator", &separator)]);
        let request = shared().request(reqwest::Method::PUT, &migration.path(&format!("/sources/client?{query}")));
        let media_type = format!("text/csv; charset={}", table.charset);
        let answer = shared().send(request.header("content-type", media_type).body(table.body.clone())).await;
        if answer.status != 200 {
            // A table whose header is damaged is refused as a whole.
            assert!([400, 422].contains(&answer.status), "{name}: {}", answer.body);
            continue;
        }
        accepted += 1;
        check(&name, &table, &answer, &migration.get("/logs?code=UPLOAD_ENDED").await);
        let counts = migration.job("counts").await;
        let rows = |side| Migration::rows(&counts, "TotalLines", side);
        assert_eq!(rows("stagedRows"), rows("importedRows"), "{name}");
    }
    assert!(accepted * 3 > count, "most tables are read: {accepted} of {count}");
}
