//! Waiting for changes of files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Time without further changes after which a file is complete. Tools write a file in pieces.
const QUIET_TIME: Duration = Duration::from_millis(300);

/// A watcher of files.
pub struct FileWatcher {
    changes: UnboundedReceiver<()>,
    /// Watches until it is dropped.
    _watcher: RecommendedWatcher,
}

impl FileWatcher {
    /// Watches these files. A file may be missing, but its folder has to exist. The folders are watched, because tools
    /// replace files.
    pub fn new(files: &[PathBuf]) -> Result<Self> {
        let (sender, changes) = unbounded_channel();
        let mut paths: Vec<PathBuf> = vec![];
        for file in files {
            let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            let folder = folder.canonicalize().with_context(|| format!("cannot watch {}", file.display()))?;
            paths.push(folder.join(file.file_name().unwrap_or_default()));
        }
        let watched = paths.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_watched = |event: &notify::Event| event.paths.iter().any(|path| watched.contains(path));
            if event.is_ok_and(|event| !event.kind.is_access() && is_watched(&event)) {
                // Sending fails once the watcher is dropped.
                let _ = sender.send(());
            }
        })?;
        let mut folders: Vec<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        folders.dedup();
        for folder in folders {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(Self { changes, _watcher: watcher })
    }

    /// Waits until a file has changed since the last call and no further change follows.
    pub async fn wait_for_change(&mut self) {
        if self.changes.recv().await.is_some() {
            while let Ok(Some(())) = tokio::time::timeout(QUIET_TIME, self.changes.recv()).await {}
        }
    }
}
