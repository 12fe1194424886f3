//! Copying files so that they are on disk, and knowing what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::Watch;
use sluice_model::Digest;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// Makes a folder for the owner alone, and those that it is in: records that are imported are not sealed.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

/// Reads to the end; how many bytes there were, and their digest.
fn digest(
    mut from: impl Read,
    watch: &dyn Watch,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u64, Digest)> {
    let (mut hasher, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok((bytes, <[u8; 32]>::from(hasher.finalize()).into())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..read]);
        each(&piece[..read])?;
        bytes += read as u64;
        watch.did(read as u64);
    }
}

/// Copies what is read into a new file, durably.
pub fn copy(from: impl Read, to: &Path, watch: &dyn Watch) -> Result<(u64, Digest)> {
    let cannot = || format!("cannot write {}", to.display());
    if let Some(folder) = to.parent() {
        make_folder(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).with_context(cannot)?;
    let copied = digest(from, watch, |piece| file.write_all(piece)).with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    Ok(copied)
}

/// What is in a file: its bytes and their digest.
pub fn read(path: &Path, watch: &dyn Watch) -> Result<(u64, Digest)> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    digest(file, watch, |_| Ok(())).with_context(|| format!("cannot read {}", path.display()))
}

/// Paths of all files below a folder, from there, in order. Whatever is neither file nor folder is named as a file.
pub fn below(folder: &Path) -> Result<Vec<String>> {
    let (mut found, mut open) = (vec![], vec![PathBuf::new()]);
    while let Some(at) = open.pop() {
        let here = folder.join(&at);
        for entry in fs::read_dir(&here).with_context(|| format!("cannot read {}", here.display()))? {
            let entry = entry?;
            let path = at.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => open.push(path),
                false => found.push(path.to_string_lossy().into_owned()),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Makes names durable in a folder and in all below it.
pub fn sync_folders(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Makes names in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot write {}", folder.display()))
}
