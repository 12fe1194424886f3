//! The keyring: a directory of keys, each wrapped by the master key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Sealer, Signer, random};
use sluice_model::{from_hex, to_hex};

/// An error of the keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing failed.
    #[error("the key directory cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The file of the master key does not hold 32 bytes in hexadecimal.
    #[error("{0} does not hold a master key: 64 hexadecimal digits, such as `openssl rand -hex 32` prints")]
    InvalidMasterKey(PathBuf),
    /// Another master key wrapped the key, or the key's file is damaged.
    #[error("key {0} cannot be unwrapped: its file is damaged, or another master key wrapped it")]
    UnwrapFailed(String),
}

/// A keyring: keys by name.
pub struct Keyring {
    dir: PathBuf,
    master: Sealer,
}

impl Keyring {
    /// Opens the directory of keys. Creates the directory and a master key if they are missing.
    pub fn open(dir: &Path, master_key_file: &Path) -> Result<Self, KeyError> {
        fs::create_dir_all(dir)?;
        if let Some(ring) = Self::open_existing(dir, master_key_file)? {
            return Ok(ring);
        }
        let key = random::<32>();
        write_new(master_key_file, format!("{}\n", to_hex(&key)).as_bytes())?;
        Ok(Self { dir: dir.into(), master: Sealer::new(&key) })
    }

    /// Opens an existing keyring. Returns `None` if the file of the master key does not exist.
    pub fn open_existing(dir: &Path, master_key_file: &Path) -> Result<Option<Self>, KeyError> {
        let text = match fs::read_to_string(master_key_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let master = from_hex(&text.trim().to_lowercase());
        let master = master.ok_or_else(|| KeyError::InvalidMasterKey(master_key_file.into()))?;
        Ok(Some(Self { dir: dir.into(), master: Sealer::new(&master) }))
    }

    fn path(&self, name: &str) -> PathBuf {
        debug_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        self.dir.join(format!("{name}.key"))
    }

    /// Returns the key with this name, or `None`.
    pub fn find(&self, name: &str) -> Result<Option<[u8; 32]>, KeyError> {
        let mut wrapped = vec![];
        match File::open(self.path(name)) {
            Ok(mut file) => file.read_to_end(&mut wrapped)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = || KeyError::UnwrapFailed(name.into());
        self.master.open(name.as_bytes(), &mut wrapped).map_err(|_| damaged())?;
        wrapped.try_into().map(Some).map_err(|_| damaged())
    }

    /// Returns the key with this name. Creates it if it does not exist.
    pub fn key(&self, name: &str) -> Result<[u8; 32], KeyError> {
        if let Some(key) = self.find(name)? {
            return Ok(key);
        }
        let key = random::<32>();
        let mut wrapped = vec![];
        self.master.seal(name.as_bytes(), &[&key], &mut wrapped);
        match write_new(&self.path(name), &wrapped) {
            Ok(()) => Ok(key),
            // Another process created the key in the meantime. Its key counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.find(name)?.ok_or_else(|| KeyError::UnwrapFailed(name.into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a sealer for the key with this name. Creates the key if it does not exist.
    pub fn sealer(&self, name: &str) -> Result<Sealer, KeyError> {
        Ok(Sealer::new(&self.key(name)?))
    }

    /// Returns a signer for the key with this name. Creates the key if it does not exist.
    pub fn signer(&self, name: &str) -> Result<Signer, KeyError> {
        Ok(Signer::new(&self.key(name)?))
    }

    /// Destroys a key. Everything that was sealed with it becomes unreadable.
    pub fn destroy(&self, name: &str) -> Result<(), KeyError> {
        let path = self.path(name);
        match OpenOptions::new().write(true).open(&path) {
            Ok(mut file) => {
                // Overwrites the key on an ordinary disk. A copy-on-write file system keeps the old bytes; they are
                // useless without the master key, which is why keys are wrapped.
                file.write_all(&random::<64>())?;
                file.sync_all()?;
                fs::remove_file(&path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        Ok(File::open(&self.dir)?.sync_all()?)
    }
}

/// Writes a new file that only its owner may read. Afterwards the file is complete and durable, or it does not exist.
///
/// # Errors
///
/// Fails if the file exists.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.new", to_hex(&random::<8>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A rename would replace a file that another process has just written. A hard link fails in that case.
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    linked?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key stays the same until it is destroyed, and differs from keys of other names. Another master key does not
    /// unwrap it.
    #[test]
    fn keys_stay_until_destroyed() {
        let temp_dir = tempfile::tempdir().unwrap();
        let (dir, master) = (temp_dir.path().join("keys"), temp_dir.path().join("master.key"));
        let ring = Keyring::open(&dir, &master).unwrap();
        let key = ring.key("a").unwrap();
        assert_ne!(key, ring.key("b").unwrap());
        let again = Keyring::open(&dir, &master).unwrap();
        assert_eq!(again.key("a").unwrap(), key);
        let other = Keyring::open(&dir, &temp_dir.path().join("other.key")).unwrap();
        assert!(matches!(other.find("a"), Err(KeyError::UnwrapFailed(_))));
        again.destroy("a").unwrap();
        assert_eq!(again.find("a").unwrap(), None);
        assert_ne!(again.key("a").unwrap(), key);
        fs::write(&master, "no key").unwrap();
        assert!(matches!(Keyring::open(&dir, &master), Err(KeyError::InvalidMasterKey(_))));
    }
}
