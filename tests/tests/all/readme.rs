//! What the README tells operators and auditors to type is typed here, as it is printed, one block after the other.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::witness::command;

/// The indented blocks of a section, without what is fenced: that is code, and nothing to type.
pub fn blocks(readme: &str, section: &str) -> String {
    let start = readme.find(section).unwrap_or_else(|| panic!("the README has no {section}"));
    let text = &readme[start + section.len()..];
    let end = text.find("\n## ").unwrap_or(text.len());
    let outside = text[..end].split("```").step_by(2);
    let lines = outside.flat_map(str::lines).filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

fn has(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn what_operators_and_auditors_are_told_to_type() {
    if !has("curl") || !has("bash") {
        println!("skipped: the README's commands take bash and curl");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let typed = blocks(&readme, "## For operators") + &blocks(&readme, "## For auditors");
    // As in a clone: the commands are in target/debug.
    let dir = tempfile::tempdir().unwrap();
    let commands = command();
    std::fs::create_dir(dir.path().join("target")).unwrap();
    std::os::unix::fs::symlink(commands.parent().unwrap(), dir.path().join("target/debug")).unwrap();
    // A port that is free now; the printed one may be somebody's.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n{}", typed.replace("8080", &port));
    let run = Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
    let (said, log) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}\n{log}");
    for (expected, times) in [
        (r#""isSuccessful":true"#, 2),
        (r#""state":"succeeded""#, 3),
        ("sluice_jobs_total{kind=\"import\",state=\"succeeded\"} 1", 1),
        ("Its secret, shown this once", 2),
        ("event: log", 5),
        ("backups/monday is a whole backup of ./sluice-data", 1),
        ("backups/monday is whole", 1),
        ("restored is restored from backups/monday", 1),
        ("Those that are there open everything", 3),
    ] {
        assert!(said.matches(expected).count() >= times, "{expected} {times} times in:\n{said}\n{log}");
    }
}
