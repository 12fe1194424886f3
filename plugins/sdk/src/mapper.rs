//! A mapper: the trait an author implements, and what drives it batch by batch.

use serde::{Deserialize, Serialize};

use crate::bindings::mapper::exports::sluice::plugin::mapping;
use crate::bindings::types::{Context, Produced};
use crate::names::field_names;
use crate::records::{Joined, Record, Wanted};
use crate::{BatchBuilder, Finding};

/// Turns source records into domain records.
pub trait Mapper: 'static {
    /// The mapper's name, its sources and what it produces.
    fn describe() -> Description;

    /// Names the loaded records that `record` needs, so that the host is asked once for a whole batch.
    /// Called again for a record that looks for an answer here with [`Record::find`], so that a second
    /// lookup can follow from the first.
    fn lookups(record: &Record, wanted: &mut Wanted) {
        let _ = (record, wanted);
    }

    /// Maps one record: puts domain records into `out`, or skips it with a code, or says what is wrong.
    fn map(record: &Record, out: &mut Output) -> Result<(), Finding>;
}

/// What a mapper says of itself.
pub struct Description(mapping::Description);

impl Description {
    /// A mapper with this lower-case name.
    pub fn new(name: &str, version: &str) -> Self {
        let (name, version) = (name.into(), version.into());
        Self(mapping::Description { name, version, sources: vec![], entity_types: vec![], codes: vec![] })
    }

    /// Takes records of this source, identified by these fields. Sources are uploaded in this order.
    pub fn source(mut self, name: &str, key: &[&str]) -> Self {
        let key = key.iter().map(|&field| field.into()).collect();
        self.0.sources.push(mapping::Source { name: name.into(), key, lookups: vec![], fields: vec![] });
        self
    }

    /// Lets issues about the source named last name every field of this type, and of the types inside it:
    /// the one that its records are parsed into.
    pub fn reads<'a, T: Deserialize<'a>>(self) -> Self {
        self.fields(&field_names::<T>())
    }

    /// Lets issues about the source named last name these fields as well.
    pub fn fields(mut self, names: &[&str]) -> Self {
        let fields = &mut self.0.sources.last_mut().expect("a source comes first").fields;
        for name in names {
            if !fields.iter().any(|known| known == name) {
                fields.push((*name).into());
            }
        }
        self
    }

    /// Declares a code of the mapper's own: of an issue, a rule or a skip. What is not declared is not shown.
    pub fn code(mut self, code: &str) -> Self {
        self.0.codes.push(code.into());
        self
    }

    /// Lets records of the source named last be looked up by this field as well.
    pub fn lookup(mut self, field: &str) -> Self {
        self.0.sources.last_mut().expect("a source comes first").lookups.push(field.into());
        self
    }

    /// Produces records of this entity type.
    pub fn produces(mut self, entity_type: &str) -> Self {
        self.0.entity_types.push(entity_type.into());
        self
    }
}

/// Where a mapper puts what it makes of one record.
pub struct Output {
    position: u32,
    produced: Vec<(String, BatchBuilder, Vec<u32>)>,
    skipped: Vec<mapping::Skipped>,
    issues: Vec<crate::bindings::types::Issue>,
}

impl Output {
    /// Puts a domain record, written as JSON.
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

    /// Says that the record is rightly not migrated, and why: a code that the description declares.
    pub fn skip(&mut self, code: &str) {
        match self.skipped.iter_mut().find(|skipped| skipped.code == code) {
            Some(skipped) => skipped.positions.push(self.position),
            None => self.skipped.push(mapping::Skipped { code: code.into(), positions: vec![self.position] }),
        }
    }

    /// Adds what is wrong with the record, beside whatever else becomes of it.
    pub fn report(&mut self, finding: Finding) {
        self.issues.push(finding.at(self.position));
    }
}

/// Rounds of lookups that may follow from one another.
const MAX_ROUNDS: usize = 4;

#[doc(hidden)]
pub mod driver {
    use super::*;

    pub fn describe<M: Mapper>() -> mapping::Description {
        M::describe().0
    }

    pub fn transform<M: Mapper>(
        context: Context,
        source: String,
        records: crate::bindings::types::Batch,
    ) -> mapping::Transformed {
        let mut joined = Joined::default();
        let mut wanted = Wanted::default();
        let bodies: Vec<(&[u8], Option<&str>)> = crate::batch::unpack_text(&records).collect();
        let mut asking = bodies.clone();
        for _ in 0..MAX_ROUNDS {
            // What follows from an answer is asked by whoever looked for that answer, and by nobody else.
            asking.retain(|&(body, text)| {
                M::lookups(&Record { source: &source, body, text, context: &context, joined: &joined }, &mut wanted);
                joined.consulted()
            });
            if !joined.fetch(&mut wanted) {
                break;
            }
        }
        let mut out = Output { position: 0, produced: vec![], skipped: vec![], issues: vec![] };
        for (position, (body, text)) in bodies.into_iter().enumerate() {
            out.position = position as u32;
            let record = Record { source: &source, body, text, context: &context, joined: &joined };
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

/// Makes the type that implements [`Mapper`] the component's mapper.
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
