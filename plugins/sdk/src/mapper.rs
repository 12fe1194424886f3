//! Mappers: the trait that an author implements, and the driver that calls it batch by batch.

use serde::{Deserialize, Serialize};

use crate::bindings::mapper::exports::sluice::plugin::mapping;
use crate::bindings::types::{Context, Produced};
use crate::field_names::field_names;
use crate::records::{LookupResults, Record, Wanted};
use crate::{BatchBuilder, Finding};

/// A mapper: it maps source records to domain records.
pub trait Mapper: 'static {
    /// Returns the description of the mapper.
    fn describe() -> Description;

    /// Requests the loaded records that `record` needs. The SDK collects the requests of a batch and calls the host
    /// once for each source and field.
    ///
    /// A lookup may depend on the answer of another one: after the answers have arrived, the SDK calls this function
    /// again for each record that called [`Record::find`] in it. There are at most four rounds.
    fn lookups(record: &Record, wanted: &mut Wanted) {
        let _ = (record, wanted);
    }

    /// Maps one record: puts domain records into `out`, or skips the record with a code, or returns a finding.
    fn map(record: &Record, out: &mut Output) -> Result<(), Finding>;
}

/// The description of a mapper.
pub struct Description(mapping::Description);

impl Description {
    /// Creates a description with the mapper's name, in lower case, and version.
    pub fn new(name: &str, version: &str) -> Self {
        let (name, version) = (name.into(), version.into());
        Self(mapping::Description { name, version, sources: vec![], entity_types: vec![], codes: vec![] })
    }

    /// Adds a source whose records are identified by these fields. Sources are uploaded in this order.
    pub fn source(mut self, name: &str, key: &[&str]) -> Self {
        let key = key.iter().map(|&field| field.into()).collect();
        self.0.sources.push(mapping::Source { name: name.into(), key, lookups: vec![], fields: vec![] });
        self
    }

    /// Declares all fields of `T` and of the types inside it, so that issues of the last source may name them. `T` is
    /// the type that records of the source are parsed into.
    ///
    /// # Panics
    ///
    /// If no source has been added.
    pub fn reads<'a, T: Deserialize<'a>>(self) -> Self {
        self.fields(&field_names::<T>())
    }

    /// Declares further fields that issues of the last source may name.
    ///
    /// # Panics
    ///
    /// If no source has been added.
    pub fn fields(mut self, names: &[&str]) -> Self {
        let fields = &mut self.0.sources.last_mut().expect("add a source first").fields;
        for name in names {
            if !fields.iter().any(|known| known == name) {
                fields.push((*name).into());
            }
        }
        self
    }

    /// Declares one of the mapper's own codes: of an issue, a rule or a skip. The host does not show undeclared codes.
    pub fn code(mut self, code: &str) -> Self {
        self.0.codes.push(code.into());
        self
    }

    /// Declares a further field by which records of the last source can be looked up.
    ///
    /// # Panics
    ///
    /// If no source has been added.
    pub fn lookup(mut self, field: &str) -> Self {
        self.0.sources.last_mut().expect("add a source first").lookups.push(field.into());
        self
    }

    /// Declares an entity type that the mapper produces.
    pub fn produces(mut self, entity_type: &str) -> Self {
        self.0.entity_types.push(entity_type.into());
        self
    }
}

/// The output of a mapper.
pub struct Output {
    position: u32,
    produced: Vec<(String, BatchBuilder, Vec<u32>)>,
    skipped: Vec<mapping::Skipped>,
    issues: Vec<crate::bindings::types::Issue>,
}

impl Output {
    /// Adds a domain record, written as JSON.
    ///
    /// # Panics
    ///
    /// If the record cannot be written as JSON.
    pub fn put<T: Serialize + ?Sized>(&mut self, entity_type: &str, record: &T) {
        let index = match self.produced.iter().position(|(name, ..)| name == entity_type) {
            Some(index) => index,
            None => {
                self.produced.push((entity_type.to_owned(), BatchBuilder::default(), vec![]));
                self.produced.len() - 1
            }
        };
        let (_, records, origins) = &mut self.produced[index];
        records.push_json(record);
        origins.push(self.position);
    }

    /// Skips the source record: it is deliberately not migrated. `code` is the reason, and the description declares it.
    pub fn skip(&mut self, code: &str) {
        match self.skipped.iter_mut().find(|skipped| skipped.code == code) {
            Some(skipped) => skipped.positions.push(self.position),
            None => self.skipped.push(mapping::Skipped { code: code.into(), positions: vec![self.position] }),
        }
    }

    /// Adds a finding about the source record. It does not affect other output for the record.
    pub fn report(&mut self, finding: Finding) {
        self.issues.push(finding.at(self.position));
    }
}

/// Maximum number of rounds of lookups that depend on one another.
const MAX_ROUNDS: usize = 4;

/// The driver of a mapper: the exports of its component.
#[doc(hidden)]
pub mod driver {
    use super::*;

    /// Returns the mapper's description.
    pub fn describe<M: Mapper>() -> mapping::Description {
        M::describe().0
    }

    /// Maps a batch.
    pub fn transform<M: Mapper>(
        context: Context,
        source: String,
        records: crate::bindings::types::Batch,
    ) -> mapping::Transformed {
        let mut results = LookupResults::default();
        let mut wanted = Wanted::default();
        let bodies: Vec<(&[u8], Option<&str>)> = crate::batch::unpack_text(&records).collect();
        let mut pending = bodies.clone();
        for _ in 0..MAX_ROUNDS {
            // Only a record that read an answer in this round can have a lookup that depends on it.
            pending.retain(|&(body, text)| {
                M::lookups(&Record { source: &source, body, text, context: &context, results: &results }, &mut wanted);
                results.take_consulted()
            });
            if !results.fetch(&mut wanted) {
                break;
            }
        }
        let mut out = Output { position: 0, produced: vec![], skipped: vec![], issues: vec![] };
        for (position, (body, text)) in bodies.into_iter().enumerate() {
            out.position = position as u32;
            let record = Record { source: &source, body, text, context: &context, results: &results };
            if let Err(finding) = M::map(&record, &mut out) {
                out.report(finding);
            }
        }
        let produced = out
            .produced
            .into_iter()
            .map(|(entity_type, records, origins)| Produced { entity_type, records: records.finish(), origins })
            .collect();
        mapping::Transformed { produced, skipped: out.skipped, issues: out.issues }
    }
}

/// Exports the type that implements [`Mapper`] as the component's mapper.
#[macro_export]
macro_rules! mapper {
    ($mapper:ty) => {
        const _: () = {
            use $crate::__export::bindings::mapper::exports::sluice::plugin::mapping;
            use $crate::bindings::types::{Batch, Context};

            struct Component;
            impl mapping::Guest for Component {
                fn describe() -> mapping::Description {
                    $crate::__export::install_panic_hook();
                    $crate::__export::mapper::describe::<$mapper>()
                }
                fn transform(context: Context, source: String, records: Batch) -> mapping::Transformed {
                    $crate::__export::install_panic_hook();
                    $crate::__export::mapper::transform::<$mapper>(context, source, records)
                }
            }
            #[cfg(target_family = "wasm")]
    $crate::bindings::mapper::export_mapper!(Component with_types_in $crate::bindings::mapper);
        };
    };
}
