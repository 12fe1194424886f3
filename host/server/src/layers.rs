//! Tests of rules that the compiler cannot check, made on the source text.

use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)];
    let mut files = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("layers.rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has no source files");
    files
}

/// Code of a file, without comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// A layer does not name a layer above it.
#[test]
fn layers_import_downwards_only() {
    for (layer, above) in [
        ("access", &["crate::app", "crate::ingest", "crate::http", "crate::start"][..]),
        ("app", &["crate::ingest", "crate::http", "crate::start"]),
        ("ingest", &["crate::http", "crate::start"]),
        ("http", &["crate::start"]),
    ] {
        for path in sources(layer) {
            let code = code(&path);
            for upper in above {
                assert!(!code.contains(upper), "{} names {upper}", path.display());
            }
        }
    }
}

/// Asynchronous code reaches the catalogue, staging and the plugins through an `AsyncApp`, which gives them only to
/// closures on threads that may block. The compiler enforces this as long as asynchronous functions do not receive the
/// application state itself.
#[test]
fn blocking_work_goes_through_async_app() {
    for path in sources("") {
        let code = code(&path);
        let name = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().to_owned();
        if name != Path::new("app/async_app.rs") {
            // The server's start has no application state yet.
            let allowed = usize::from(name == Path::new("start.rs"));
            assert!(code.matches("task::spawn_blocking").count() <= allowed, "{} makes threads", name.display());
            assert!(!code.contains("block_in_place"), "{} blocks a thread of the runtime", name.display());
        }
        assert!(!code.contains("State<Arc<App>>"), "{} has the blocking application state", name.display());
        if name.starts_with("http") || name.starts_with("ingest") {
            for signature in async_signatures(&code) {
                assert!(
                    !signature.contains("Arc<App>"),
                    "an async function in {} has the blocking state",
                    name.display()
                );
            }
        }
    }
}

/// Signatures of the asynchronous functions in a source text.
fn async_signatures(code: &str) -> impl Iterator<Item = &str> {
    code.split("async fn ").skip(1).map(|rest| rest.split(" {\n").next().unwrap_or(rest))
}
