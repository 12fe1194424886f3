//! Data that a stream keeps beside an entry's body: an issue's code, or references to the records made from a source
//! record.
//!
//! ```text
//! code      the text
//! products  count × (stream 2 · reference id 16)
//! ```
//! The entry's status says which of the two it is.

use crate::{Key, SourceStatus};

/// Bytes of one encoded product.
const PRODUCT_BYTES: usize = 18;

/// Maximum number of products of an entry. Their length in bytes is stored in 16 bits.
pub(crate) const MAX_PRODUCTS: usize = u16::MAX as usize / PRODUCT_BYTES;

/// A reference to a record made from a source record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProductRef {
    /// Number of the stream of its entity type.
    pub stream: u16,
    /// Its reference id.
    pub id: Key,
}

/// Data that a stream keeps beside an entry's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EntryDetail {
    /// Nothing: the entry is a domain record or a batch.
    #[default]
    None,
    /// Code of a source record that was skipped, rejected or quarantined.
    Code(String),
    /// Records made from a mapped source record, in the order in which the mapper returned them.
    Products(Vec<ProductRef>),
}

impl EntryDetail {
    /// Returns the code, if the detail is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Code(code) => Some(code),
            Self::None | Self::Products(_) => None,
        }
    }

    /// Returns the records made from the entry; empty if none were.
    pub fn products(&self) -> &[ProductRef] {
        match self {
            Self::Products(products) => products,
            Self::None | Self::Code(_) => &[],
        }
    }

    /// Appends the encoded detail to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Code(code) => out.extend_from_slice(code.as_bytes()),
            Self::Products(products) => {
                for product in products {
                    out.extend_from_slice(&product.stream.to_le_bytes());
                    out.extend_from_slice(&product.id);
                }
            }
        }
    }

    /// Decodes the detail of an entry with this status.
    pub(crate) fn decode(status: u8, bytes: &[u8]) -> Self {
        if status == SourceStatus::Mapped as u8 {
            let (products, _) = bytes.as_chunks::<PRODUCT_BYTES>();
            let product = |[low, high, id @ ..]: &[u8; PRODUCT_BYTES]| ProductRef {
                stream: u16::from_le_bytes([*low, *high]),
                id: *id,
            };
            return Self::Products(products.iter().map(product).collect());
        }
        if bytes.is_empty() { Self::None } else { Self::Code(String::from_utf8_lossy(bytes).into_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of each detail. Data directories of earlier versions hold them, so they may not change.
    #[test]
    fn bytes_on_disk() {
        let product = |stream, id| ProductRef { stream, id: [id; 16] };
        let two = [&[0x02, 0x01][..], &[7; 16], &[0xfd, 0xff], &[9; 16]].concat();
        let cases: [(EntryDetail, SourceStatus, &[u8]); 5] = [
            (EntryDetail::Products(vec![]), SourceStatus::Mapped, b""),
            (EntryDetail::Products(vec![product(0x0102, 7), product(0xfffd, 9)]), SourceStatus::Mapped, &two),
            (EntryDetail::Code("BERKA_LOOKUP_ONLY".into()), SourceStatus::Skipped, b"BERKA_LOOKUP_ONLY"),
            (EntryDetail::Code("DUPLICATE_KEY".into()), SourceStatus::Rejected, b"DUPLICATE_KEY"),
            (EntryDetail::Code("PLUGIN_TRAPPED".into()), SourceStatus::Quarantined, b"PLUGIN_TRAPPED"),
        ];
        for (detail, status, bytes) in cases {
            let mut encoded = vec![];
            detail.encode(&mut encoded);
            assert_eq!(encoded, bytes, "{detail:?}");
            assert_eq!(EntryDetail::decode(status as u8, bytes), detail);
        }
        let mut none = vec![];
        EntryDetail::None.encode(&mut none);
        assert!(none.is_empty());
        assert_eq!(EntryDetail::decode(0, b""), EntryDetail::None);
    }
}
