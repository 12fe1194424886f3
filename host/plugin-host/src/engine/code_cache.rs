//! The cache of compiled code: files that are sealed with a key of the host, one for each owner and component.

use std::io::{Read as _, Write as _};
use std::time::SystemTime;

use anyhow::Context as _;
use cap_std::fs::Dir;

use sluice_keys::Sealer;
use sluice_model::{Digest, Tenant};
use sluice_plugin_protocol::CompiledComponent;

/// Extension of a file in the cache.
const EXTENSION: &str = "code";

/// Number of bytes of the length of a file's head.
const LENGTH_BYTES: usize = 4;

/// Cache of compiled code in a directory that only the host writes. A file that was changed or exchanged does not open, and
/// the component is compiled again.
pub struct CodeCache {
    dir: Dir,
    sealer: Sealer,
    max_bytes: u64,
}

impl CodeCache {
    /// Returns the cache in a directory. It keeps at most `max_bytes`; the files that were not used for the longest time go
    /// first.
    #[must_use]
    pub fn new(dir: Dir, sealer: Sealer, max_bytes: u64) -> Self {
        Self { dir, sealer, max_bytes }
    }

    /// Returns the code of an owner's component, if it is there and intact.
    pub(crate) fn read(&self, owner: Option<&Tenant>, digest: Digest) -> Option<(CompiledComponent, Vec<u8>)> {
        let place = place(owner, digest);
        let mut file = self.dir.open(file_name(&place)).ok()?.into_std();
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).ok()?;
        self.sealer.open(place.as_bytes(), &mut bytes).ok()?;
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let component = postcard::from_bytes(rest.get(..length)?).ok()?;
        // The sweep goes by the time of the last use.
        let _ = file.set_modified(SystemTime::now());
        bytes.drain(..LENGTH_BYTES + length);
        Some((component, bytes))
    }

    /// Keeps the code of an owner's component.
    pub(crate) fn write(
        &self,
        owner: Option<&Tenant>,
        digest: Digest,
        component: &CompiledComponent,
        code: &[u8],
    ) -> anyhow::Result<()> {
        let place = place(owner, digest);
        let head = postcard::to_allocvec(component).context("a description of code is not encoded")?;
        let length = u32::try_from(head.len())?.to_le_bytes();
        let mut sealed = vec![];
        self.sealer.seal(place.as_bytes(), &[&length, &head, code], &mut sealed);
        if sealed.len() as u64 > self.max_bytes {
            return Ok(());
        }
        let name = file_name(&place);
        let unfinished = format!("{name}.{}.new", uuid::Uuid::new_v4());
        let written = self.dir.create(&unfinished).and_then(|mut out| {
            out.write_all(&sealed)?;
            self.dir.rename(&unfinished, &self.dir, &name)
        });
        if written.is_err() {
            let _ = self.dir.remove_file(&unfinished);
        }
        written?;
        self.sweep()
    }

    /// Removes the files that were not used for the longest time, until the others are within the limit.
    fn sweep(&self) -> anyhow::Result<()> {
        let mut files = vec![];
        for entry in self.dir.entries()? {
            let entry = entry?;
            // Another process may have removed it.
            let Ok(metadata) = entry.metadata() else { continue };
            files.push((metadata.modified()?.into_std(), metadata.len(), entry.file_name()));
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, length, name) in files {
            if bytes <= self.max_bytes {
                break;
            }
            let _ = self.dir.remove_file(&name);
            bytes -= length;
        }
        Ok(())
    }
}

/// Returns the text that a file is bound to: it opens for its owner and its component only.
fn place(owner: Option<&Tenant>, digest: Digest) -> String {
    match owner {
        Some(tenant) => format!("tenant {} plugin {digest}", tenant.as_str()),
        None => format!("host plugin {digest}"),
    }
}

/// Returns the name of a file, which does not say whose it is.
fn file_name(place: &str) -> String {
    format!("{}.{EXTENSION}", Digest::of(place.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;
    use sluice_plugin_protocol::InspectedComponent;

    fn component() -> CompiledComponent {
        CompiledComponent { not_pooled: None, inspected: InspectedComponent::default() }
    }

    fn cache(folder: &std::path::Path, key: u8, max_bytes: u64) -> CodeCache {
        CodeCache::new(Dir::open_ambient_dir(folder, ambient_authority()).unwrap(), Sealer::new(&[key; 32]), max_bytes)
    }

    #[test]
    fn code_opens_for_its_owner_and_component_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 7, 1 << 20);
        let tenants = ["north", "south"].map(|name| name.parse::<Tenant>().unwrap());
        let owners = [None, Some(&tenants[0]), Some(&tenants[1])];
        let [one, other] = [b"1", b"2"].map(|bytes| Digest::of(bytes));
        cache.write(owners[1], one, &component(), b"code").unwrap();
        for owner in owners {
            for digest in [one, other] {
                let is_own = owner == owners[1] && digest == one;
                let expected = is_own.then(|| (component(), b"code".to_vec()));
                assert_eq!(cache.read(owner, digest), expected, "{owner:?} {digest}");
            }
        }
        assert_eq!(self::cache(folder.path(), 8, 1 << 20).read(owners[1], one), None, "another key");
        // A file under another one's name does not open, nor does one with another byte.
        let own = folder.path().join(file_name(&place(owners[1], one)));
        std::fs::copy(&own, folder.path().join(file_name(&place(owners[2], one)))).unwrap();
        assert_eq!(cache.read(owners[2], one), None);
        let mut bytes = std::fs::read(&own).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&own, bytes).unwrap();
        assert_eq!(cache.read(owners[1], one), None);
    }

    #[test]
    fn the_least_recently_used_code_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 7, 2_500);
        let digests: Vec<Digest> = (0..4_u8).map(|number| Digest::of(&[number])).collect();
        let past = |digest, seconds| {
            let file = std::fs::File::open(folder.path().join(file_name(&place(None, digest)))).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(seconds)).unwrap();
        };
        for (digest, seconds) in digests.iter().zip([100, 200]) {
            cache.write(None, *digest, &component(), &[0; 1_000]).unwrap();
            past(*digest, seconds);
        }
        cache.write(None, digests[2], &component(), &[0; 1_000]).unwrap();
        let kept: Vec<bool> = digests.iter().map(|digest| cache.read(None, *digest).is_some()).collect();
        assert_eq!(kept, [true, false, true, false]);
        cache.write(None, digests[3], &component(), &[0; 3_000]).unwrap();
        assert_eq!(cache.read(None, digests[3]), None, "longer than the limit");
    }
}
