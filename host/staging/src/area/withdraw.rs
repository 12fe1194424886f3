//! Withdrawal of an upload: the deletion of the records that it brought.

use std::collections::BTreeSet;

use crate::area::transaction::Transaction;
use crate::journal::block::Origin;
use crate::streams::LiveBlock;
use crate::streams::registry::OWN_KEY;
use crate::{EntryDetail, Key, ProductRef, StagingArea, StagingError, SupersededEntry};

/// Result of withdrawing an upload from a staging area.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WithdrawnRecords {
    /// Number of deleted source records, or of deleted records that came without a mapper.
    pub records: u64,
    /// Number of deleted records that were made from the source records.
    pub made: u64,
}

impl StagingArea {
    /// Deletes the live records of a stream that an upload brought, and the records made from them. `remaps` are the
    /// uploads that mapped staged records again: their records belong to the upload that brought them. Passes the deleted
    /// entries with issues to `superseded`, a block at a time.
    pub fn withdraw<E: From<StagingError>>(
        &self,
        stream: crate::StreamName,
        upload: u32,
        remaps: &BTreeSet<u32>,
        mut superseded: impl FnMut(Vec<SupersededEntry>) -> Result<(), E>,
    ) -> Result<WithdrawnRecords, E> {
        let mut withdrawn = WithdrawnRecords::default();
        let Some((number, length)) = ({
            let inner = self.read_inner()?;
            inner.number(stream).map(|number| (number, inner.streams[number as usize].length))
        }) else {
            return Ok(withdrawn);
        };
        let mut next = 0;
        while next < length {
            let live = self.live_block(number, next)?;
            next = live.first + live.block.count as u64;
            if live.dead.iter().all(|dead| *dead) {
                continue;
            }
            let of_block = self.transaction(|transaction| {
                transaction.withdraw_block(number, &live, upload, remaps, &mut withdrawn)?;
                Ok(transaction.take_superseded())
            })?;
            superseded(of_block)?;
        }
        Ok(withdrawn)
    }
}

impl Transaction<'_> {
    fn withdraw_block(
        &mut self,
        stream: u16,
        live: &LiveBlock,
        upload: u32,
        remaps: &BTreeSet<u32>,
        withdrawn: &mut WithdrawnRecords,
    ) -> Result<(), StagingError> {
        self.inner.open_index(stream, OWN_KEY)?;
        for (place, ordinal) in (live.first..).enumerate().take(live.block.count) {
            if live.dead[place] {
                continue;
            }
            let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: ordinal };
            let stored = live.block.entry(place).ok_or(damaged)?;
            let mut brought_by = stored.entry.upload;
            if remaps.contains(&brought_by) {
                brought_by = self.brought_by(stream, stored.entry.key, ordinal, remaps)?;
            }
            if brought_by != upload || !matches!(stored.entry.origin, Origin::Line(_)) {
                continue;
            }
            let meta = self.meta(stream, ordinal)?;
            self.supersede(stream, ordinal, &meta);
            withdrawn.records += 1;
            let EntryDetail::Products(products) = meta.detail else { continue };
            for ProductRef { stream: product_stream, id } in products {
                self.inner.open_index(product_stream, OWN_KEY)?;
                if let Some(made) = self.latest(product_stream, id)?
                    && self.meta(product_stream, made)?.origin == (Origin::Source { stream, ordinal })
                {
                    self.delete(product_stream, made);
                    withdrawn.made += 1;
                }
            }
        }
        Ok(())
    }

    /// Returns the upload that brought an entry: the latest version of its key up to the entry that is not of a remap.
    /// Returns 0 if there is none.
    fn brought_by(&self, stream: u16, key: Key, ordinal: u64, remaps: &BTreeSet<u32>) -> Result<u32, StagingError> {
        let mut versions = self.inner.versions(stream, key)?;
        versions.retain(|version| *version <= ordinal);
        versions.sort_unstable();
        for version in versions.into_iter().rev() {
            let upload = self.meta(stream, version)?.upload;
            if !remaps.contains(&upload) {
                return Ok(upload);
            }
        }
        Ok(0)
    }
}
