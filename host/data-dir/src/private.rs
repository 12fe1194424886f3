//! Modes of files: nobody but the server's user can read a data directory.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Mode bits of other users and of the group.
const OTHERS: u32 = 0o077;

/// Creates a data directory that only its user can read, or takes the permissions of other users away from one that
/// exists, from the directory itself and from everything in it. Returns the number of files and directories whose mode has
/// changed.
pub fn make_private(data_dir: &Path) -> io::Result<u64> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let mut changed = tighten(data_dir)?;
    let mut folders = vec![data_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let Some(entries) = unless_gone(std::fs::read_dir(folder))? else { continue };
        for entry in entries {
            let entry = entry?;
            // A symbolic link leads out of the directory. Its target has an owner of its own.
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                continue;
            }
            changed += tighten(&entry.path())?;
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(changed)
}

/// Makes files that this process creates from now on private to its user.
pub fn create_private_files() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
}

fn tighten(path: &Path) -> io::Result<u64> {
    let Some(metadata) = unless_gone(std::fs::symlink_metadata(path))? else { return Ok(0) };
    let mode = metadata.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(0);
    }
    let private = Permissions::from_mode(mode & 0o7777 & !OTHERS);
    Ok(unless_gone(std::fs::set_permissions(path, private))?.map_or(0, |()| 1))
}

/// Returns none for a file that is gone, or that another user owns. A command beside a running server meets files that the
/// server removes. A file of another user, such as `lost+found`, is none of the server's.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn takes_permissions_of_others_away() {
        let outer = tempfile::tempdir().unwrap();
        let outside = outer.path().join("outside");
        std::fs::write(&outside, "").unwrap();
        std::fs::set_permissions(&outside, Permissions::from_mode(0o644)).unwrap();
        let dir = outer.path().join("parent/data");
        assert_eq!(make_private(&dir).unwrap(), 0);
        assert_eq!(mode(&dir), 0o700);
        let deep = dir.join("migrations/one/journal");
        std::fs::create_dir_all(&deep).unwrap();
        std::os::unix::fs::symlink(&outside, dir.join("link")).unwrap();
        let files = [(dir.join("platform.db"), 0o644), (deep.join("1"), 0o666), (dir.join("program"), 0o755)];
        for (file, mode) in &files {
            std::fs::write(file, "").unwrap();
            std::fs::set_permissions(file, Permissions::from_mode(*mode)).unwrap();
        }
        for folder in [&dir, &dir.join("migrations"), &dir.join("migrations/one"), &deep] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(make_private(&dir).unwrap(), 7);
        for (file, expected) in [(&files[0].0, 0o600), (&files[1].0, 0o600), (&files[2].0, 0o700), (&deep, 0o700)] {
            assert_eq!(mode(file), expected, "{}", file.display());
        }
        assert_eq!(mode(&outside), 0o644, "a link is not followed");
        assert_eq!(make_private(&dir).unwrap(), 0);
    }
}
