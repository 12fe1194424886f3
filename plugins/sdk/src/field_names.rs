//! Names of a type's fields, including nested types, from its derived `Deserialize`. A mapper declares the fields that
//! issues may name by naming the type that it reads, so the fields are listed once.

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

type Error = serde::de::value::Error;

/// Name of a struct, and names of its fields.
type StructFields = (&'static str, &'static [&'static str]);

/// Returns the names of all fields of `T`.
pub(crate) fn field_names<'a, T: Deserialize<'a>>() -> Vec<&'static str> {
    let (mut names, mut known) = (vec![], vec![]);
    // Each probe follows one path of fields. A derived implementation stops at the first value that it does not get,
    // and no value fits every type, so one probe cannot visit all fields.
    let mut open: Vec<Vec<usize>> = vec![vec![]];
    while let Some(path) = open.pop() {
        let mut found: StructFields = ("", &[]);
        let _ = T::deserialize(Probe { path: &path, found: &mut found });
        // Each struct is visited once, because a struct may contain itself.
        if known.contains(&found) {
            continue;
        }
        known.push(found);
        for (index, &name) in found.1.iter().enumerate() {
            if !names.contains(&name) {
                names.push(name);
            }
            open.push([path.as_slice(), &[index]].concat());
        }
    }
    names
}

/// A deserializer that follows one field of each struct down to the struct at the end of a path.
struct Probe<'p> {
    /// Index of a field in each struct on the path.
    path: &'p [usize],
    /// Fields of the struct at the end of the path, once visited.
    found: &'p mut StructFields,
}

/// Returns the error that ends a probe.
fn end<T>() -> Result<T, Error> {
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
        let Some((&index, path)) = self.path.split_first() else {
            *self.found = (name, fields);
            return end();
        };
        visitor.visit_map(OneField { name: Some(fields[index]), probe: Some(Probe { path, found: self.found }) })
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
        end()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple_struct map enum identifier ignored_any
    }
}

/// A map with one field.
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
        self.probe.take().map_or_else(end, |probe| seed.deserialize(probe))
    }
}

/// A list with one item.
struct OneItem<'p>(Option<Probe<'p>>);

impl<'de> SeqAccess<'de> for OneItem<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|probe| seed.deserialize(probe)).transpose()
    }
}
