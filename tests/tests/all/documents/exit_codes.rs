//! Exit codes: the page, the help texts and the commands agree.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::recorded_server::command;
use crate::harness::server::shared;

/// Returns the help text's sentences about exit codes, `code meaning` each.
fn help_of(verbs: &str) -> Vec<(String, String)> {
    let help = Command::new(command()).args(verbs.split(' ')).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let (_, codes) = help.split_once("Exit codes:").unwrap_or_else(|| panic!("{verbs} has no exit codes:\n{help}"));
    let words: Vec<&str> = codes.split_whitespace().collect();
    let text = words.join(" ");
    let mut found: Vec<(String, String)> = vec![];
    for word in text.trim_end_matches('.').split(' ') {
        match found.last_mut() {
            _ if ["0", "1", "2", "130"].contains(&word) => found.push((word.into(), String::new())),
            Some((_, meaning)) => *meaning += &format!(" {word}"),
            None => panic!("{text}"),
        }
    }
    found.into_iter().map(|(code, meaning)| (code, meaning.trim().trim_end_matches(',').to_owned())).collect()
}

#[test]
fn page_and_help_texts_agree() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api/exit-codes.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `sluice"))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let verbs = row[1].trim_matches('`').trim_start_matches("sluice ");
        let meanings = help_of(verbs).into_iter().filter(|(code, _)| code != "130");
        let expected: Vec<(String, String)> = ["0", "1", "2"]
            .into_iter()
            .zip(&row[2..5])
            .filter(|(_, meaning)| !meaning.is_empty())
            .map(|(code, meaning)| (code.into(), (*meaning).into()))
            .collect();
        assert_eq!(meanings.collect::<Vec<_>>(), expected, "{verbs}");
    }
}

/// A table of clients (true if the mapper panics on one), lines that are no records, a command and its exit code, and a
/// text that its output contains.
type Case = (&'static [bool], usize, &'static str, i32, &'static str);

const CASES: &[Case] = &[
    (&[false, false], 0, "trial", 0, "2 of 2 records would arrive."),
    (&[false, true], 0, "trial", 2, "1 of 2 records would arrive: 1 quarantined."),
    (&[false], 1, "trial", 2, "1 of 2 records would arrive: 1 rejected."),
    (&[], 2, "trial", 2, "0 of 2 records would arrive: 2 rejected."),
    (&[true, true, true], 0, "trial", 2, "0 of 3 records would arrive: 3 quarantined."),
    (&[false], 0, "remap", 0, "All outcomes are the same"),
    (&[false, true], 0, "remap", 2, "All outcomes are the same"),
    (&[false], 0, "migrate", 0, "All counts agree"),
    (&[false, true], 0, "migrate", 2, "nothing"),
    (&[false, true], 0, "migrate --keep-going", 0, "1 source record refused at the upload and not imported"),
    (&[false], 0, "plugin run", 0, ""),
    (&[false, true], 0, "plugin run", 2, "quarantined"),
    (&[], 3, "plugin run", 2, "rejected"),
];

#[tokio::test(flavor = "multi_thread")]
async fn commands_end_with_the_codes_of_the_page() {
    for (clients, broken, verbs, code, text) in CASES {
        let dir = tempfile::tempdir().unwrap();
        let client = |(id, poison): (usize, &bool)| json!({"client_id": id, "poison": poison}).to_string() + "\n";
        let records: String = clients.iter().enumerate().map(client).collect();
        let body = records + &(0..*broken).map(|line| format!("no record {line}\n")).collect::<String>();
        let (table, mapper) = (dir.path().join("client.jsonl"), dir.path().join("panics.wasm"));
        std::fs::write(&table, &body).unwrap();
        let mut run = Command::new(command());
        run.args(verbs.split(' ')).env("TMPDIR", dir.path());
        let login = shared().data_dir.join(sluice_data_dir::ADMIN_FILE);
        if *verbs == "plugin run" {
            std::fs::write(&mapper, sluice_tests::guest("panics")).unwrap();
            run.arg(&mapper).arg("--source").arg(format!("client={}", table.display()));
        } else {
            let migration = shared().register(Some("panics"), &["Counterparties"]).await;
            migration.source("client", body).await;
            run.args(["--server", &shared().url, "--client-file"]).arg(login);
            run.args(if verbs.starts_with("migrate") { &["--migration"][..] } else { &[] }).arg(&migration.id);
            // The run uploads the table again, so that its report counts the refused records.
            run.args(verbs.starts_with("migrate").then_some(dir.path()));
        }
        let run = tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
        let output = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
        assert_eq!(run.status.code(), Some(*code), "{verbs} {clients:?} {broken}: {output}");
        assert!(output.contains(text), "{verbs} {clients:?} {broken}: {text} is not in {output}");
    }
}

/// A reader that has enough, as `head` has, is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn closed_output_is_no_failure() {
    let migration = shared().register(Some("panics"), &["Counterparties"]).await;
    migration.source("client", "{\"client_id\":1}\n").await;
    let mut run = Command::new(command());
    run.args(["records", &migration.id, "--source", "client", "--server", &shared().url, "--client-file"]);
    run.arg(shared().data_dir.join(sluice_data_dir::ADMIN_FILE)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = run.spawn().unwrap();
    drop(run.stdout.take());
    let run = tokio::task::spawn_blocking(move || run.wait_with_output().unwrap()).await.unwrap();
    assert_eq!((run.status.code(), String::from_utf8_lossy(&run.stderr).as_ref()), (Some(0), ""));
}
