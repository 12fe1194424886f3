//! Waits until one of some files changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Silence after which a file is taken to be written: tools write in pieces.
const QUIET: Duration = Duration::from_millis(300);

/// Some files that are watched.
pub struct Watch {
    changes: UnboundedReceiver<()>,
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches these files, which need not be there yet. Their folders have to be: tools replace files.
    pub fn new(files: &[PathBuf]) -> Result<Self> {
        let (tell, changes) = unbounded_channel();
        let mut places: Vec<PathBuf> = vec![];
        for file in files {
            let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            let folder = folder.canonicalize().with_context(|| format!("cannot watch {}", file.display()))?;
            places.push(folder.join(file.file_name().unwrap_or_default()));
        }
        let watched = places.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let ours = |event: &notify::Event| event.paths.iter().any(|path| watched.contains(path));
            if event.is_ok_and(|event| !event.kind.is_access() && ours(&event)) {
                // Nobody listens any more: it is over.
                let _ = tell.send(());
            }
        })?;
        let mut folders: Vec<&Path> = places.iter().filter_map(|place| place.parent()).collect();
        folders.dedup();
        for folder in folders {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(Self { changes, _watcher: watcher })
    }

    /// Returns once a file has changed since this was last called, and nothing has for a moment.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_some() {
            while let Ok(Some(())) = tokio::time::timeout(QUIET, self.changes.recv()).await {}
        }
    }
}
