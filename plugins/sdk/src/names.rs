//! The names of a type's fields, as its derived `Deserialize` knows them, nested types included: what a mapper
//! reads is what its issues may name, and is written down once.

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

type Error = serde::de::value::Error;

/// A struct's own name, and the names of its fields.
type Struct = (&'static str, &'static [&'static str]);

/// Names of all fields of `T`.
pub(crate) fn field_names<'a, T: Deserialize<'a>>() -> Vec<&'static str> {
    let (mut names, mut known) = (vec![], vec![]);
    // A type is asked again and again, each time for one field more: a derived implementation stops at the
    // first value that it does not get, and there is no value that every type takes.
    let mut open: Vec<Vec<usize>> = vec![vec![]];
    while let Some(way) = open.pop() {
        let mut found: Struct = ("", &[]);
        let _ = T::deserialize(Probe { way: &way, found: &mut found });
        // Once is enough of each struct, and a struct may hold itself.
        if known.contains(&found) {
            continue;
        }
        known.push(found);
        for (index, &name) in found.1.iter().enumerate() {
            if !names.contains(&name) {
                names.push(name);
            }
            open.push([way.as_slice(), &[index]].concat());
        }
    }
    names
}

/// Stands for a record, and follows one field of each struct down to the struct whose fields are asked for.
struct Probe<'p> {
    way: &'p [usize],
    found: &'p mut Struct,
}

fn enough<T>() -> Result<T, Error> {
    Err(Error::custom("there is no value"))
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some((&index, way)) = self.way.split_first() else {
            *self.found = (name, fields);
            return enough();
        };
        visitor.visit_map(OneField { name: Some(fields[index]), probe: Some(Probe { way, found: self.found }) })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(OneItem(Some(self)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(OneItem(Some(self)))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        enough()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple_struct map enum identifier ignored_any
    }
}

struct OneField<'p> {
    name: Option<&'static str>,
    probe: Option<Probe<'p>>,
}

impl<'de> MapAccess<'de> for OneField<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.name.take().map(|name| seed.deserialize(StrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.probe.take().map_or_else(enough, |probe| seed.deserialize(probe))
    }
}

struct OneItem<'p>(Option<Probe<'p>>);

impl<'de> SeqAccess<'de> for OneItem<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|probe| seed.deserialize(probe)).transpose()
    }
}
