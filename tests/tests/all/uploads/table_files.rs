//! Files in the directory that `sluice migrate` reads: each is read, or named with a reason and an exit code.

use std::process::Command;

use crate::harness::recorded_server::command;
use crate::harness::server::shared;
use sluice_data_dir::ADMIN_FILE;

const TABLE: &str = "client_id,birth_number\n1,706213\n2,706213\n";
const LINES: &str = "{\"client_id\":1,\"birth_number\":\"706213\"}\n";

/// An entry of the directory: a file with a content, or a directory.
type Entry = (&'static str, Option<&'static [u8]>);

/// Moves a directory with these entries, and returns the exit code and all output.
fn migrate(entries: &[Entry], more: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in entries {
        match content {
            Some(content) => std::fs::write(dir.path().join(name), content).unwrap(),
            None => std::fs::create_dir(dir.path().join(name)).unwrap(),
        }
    }
    let mut migrate = Command::new(command());
    migrate.args(["migrate", "--server", &shared().url, "--mapper", "berka", "--components", "Counterparties"]);
    migrate.arg("--client-file").arg(shared().data_dir.join(ADMIN_FILE)).args(more).arg(dir.path());
    let done = migrate.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (done.status.code().unwrap_or(-1), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_every_file_that_it_does_not_read() {
    let table = Some(TABLE.as_bytes());
    let gzip = include_bytes!("../../../cases/tables/30b-trailing-zeros.jsonl.gz");
    let header = include_bytes!("../../../cases/tables/33-header-only-no-newline.csv");
    // A gzip file without content.
    let nothing: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let cases: &[(&[Entry], i32, &[&str])] = &[
        (&[("client.csv", table)], 0, &["2 mapped", "3 lines read, and 3 accounted for"]),
        (&[("CLIENT.CSV", table)], 0, &["2 mapped"]),
        (&[("client.JSONL", Some(LINES.as_bytes()))], 0, &["1 mapped"]),
        (&[("client.ndjson", Some(LINES.as_bytes()))], 0, &["1 mapped"]),
        (&[("client.jsonl.gz", Some(gzip))], 0, &["2 mapped"]),
        (&[("client.csv", table), ("client.CSV", table)], 1, &["both files of the source client"]),
        (&[("client.json", Some(LINES.as_bytes()))], 1, &["client.json", "jq -c '.[]'"]),
        (&[("client.txt", table)], 1, &["client.txt", "Rename it to client.csv"]),
        (&[("client", table)], 1, &["/client is no table", "client.csv"]),
        (&[("client.csv", None)], 1, &["client.csv", "it is a directory"]),
        (&[("client.xlsx", table)], 1, &["client.xlsx", "workbook"]),
        (&[("client.csv.zip", table)], 1, &["client.csv.zip", "unpack"]),
        (
            &[
                ("client.csv", table),
                ("clients.txt", table),
                ("old", None),
                ("unknown.csv", table),
                ("client.txt", table),
            ],
            0,
            &[
                "Ignored clients.txt: ",
                "Ignored old: it is a directory",
                "Ignored unknown.csv: the mapper has no",
                "Ignored client.txt: ",
            ],
        ),
        (&[("client.csv", table), ("disp.jsonl.gz", Some(nothing))], 0, &["without records", "disp"]),
        (&[("client.csv", Some(header))], 1, &["a header, and no rows", "NOTHING_STAGED"]),
        (&[("client.csv", Some(b"client_id;birth_number\n1;706213\n"))], 1, &["MISSING_KEY_COLUMN", "separator ;"]),
    ];
    for (entries, code, parts) in cases {
        let (found, text) = migrate(entries, &[]);
        let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        assert_eq!(found, *code, "{names:?}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{names:?}: {text}");
    }
}

/// The command shows the refused lines, and that every line is accounted for.
#[tokio::test(flavor = "multi_thread")]
async fn shows_refused_lines() {
    let rows: String = (5..12).map(|id| format!("{id},706213,x\n")).collect();
    let table = format!("client_id,birth_number,note\n1,706213,x\n2,706213,\"x\nno row\nno row\n{rows}");
    let entries: Vec<Entry> = vec![("client.csv", Some(Box::leak(table.into_boxed_str()).as_bytes()))];
    let (code, text) = migrate(&entries, &[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("lines 3–5, quote opened in line 3, column 3: INVALID_QUOTES"), "{text}");
    let (code, text) = migrate(&entries, &["--keep-going"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("12 lines read, and 12 accounted for"), "{text}");
}

/// A table with a header alone does not make the command's own server fail.
#[tokio::test(flavor = "multi_thread")]
async fn runs_a_plugin_on_a_header_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("client.csv");
    std::fs::write(&file, include_bytes!("../../../cases/tables/33-header-only-no-newline.csv")).unwrap();
    let (mapper, guest) = (dir.path().join("mapper.wasm"), guest("mended"));
    std::fs::write(&mapper, guest).unwrap();
    let mut run = Command::new(command());
    run.args(["plugin", "run"]).arg(&mapper).arg("--source").arg(format!("client={}", file.display()));
    let done = run.output().unwrap();
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

fn guest(name: &str) -> &'static [u8] {
    sluice_tests::GUESTS.iter().find(|(guest, _)| *guest == name).map(|(_, bytes)| *bytes).unwrap()
}
