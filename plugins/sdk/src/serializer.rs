//! Serde's serializer for a [`Writer`].

use std::fmt::{Display, Write};

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Error;

use crate::writer::{FragmentWriter, Writer};

/// Name of the struct and field by which `serde_json` recognises a `RawValue`. A value that is serialized under this
/// name is already JSON.
pub(crate) const RAW: &str = "$serde_json::private::RawValue";

impl Writer {
    /// Begins an object or list.
    #[inline]
    fn list(&mut self, open: u8, close: &'static str) -> Elements<'_> {
        self.put(&[open]);
        Elements { writer: self, first: true, close }
    }

    /// Begins an object with the name of an enum's variant.
    fn variant(&mut self, variant: &str) {
        self.put(b"{");
        self.text(variant);
        self.put(b":");
    }
}

macro_rules! numbers {
    ($($method:ident $number:ty,)*) => {
        $(
            #[inline]
            fn $method(self, number: $number) -> Result<(), Error> {
                self.number(number);
                Ok(())
            }
        )*
    };
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Elements<'w>;
    type SerializeTuple = Elements<'w>;
    type SerializeTupleStruct = Elements<'w>;
    type SerializeTupleVariant = Elements<'w>;
    type SerializeMap = Elements<'w>;
    type SerializeStruct = Elements<'w>;
    type SerializeStructVariant = Elements<'w>;

    numbers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        if value {
            self.put(b"true")
        } else {
            self.put(b"false")
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.by_serde_json(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.by_serde_json(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_raw) {
            self.text(text);
        } else if !self.plain(text.as_bytes()) {
            self.raw(text.as_bytes());
        }
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.by_serde_json(bytes)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.put(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant);
        value.serialize(&mut *self)?;
        self.put(b"}");
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'w>, Error> {
        Ok(self.list(b'[', "]"))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Elements<'w>, Error> {
        Ok(self.list(b'[', "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements<'w>, Error> {
        Ok(self.list(b'[', "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'w>, Error> {
        self.variant(variant);
        Ok(self.list(b'[', "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements<'w>, Error> {
        Ok(self.list(b'{', "}"))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Elements<'w>, Error> {
        if name == RAW {
            self.is_raw = true;
            return Ok(Elements { writer: self, first: true, close: "" });
        }
        Ok(self.list(b'{', "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'w>, Error> {
        self.variant(variant);
        Ok(self.list(b'{', "}}"))
    }

    /// Writes the fragments of the text without buffering it.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.put(b"\"");
        write!(FragmentWriter(self), "{value}").map_err(Error::custom)?;
        self.put(b"\"");
        Ok(())
    }
}

/// A writer of the members of an object or the items of a list.
pub(crate) struct Elements<'w> {
    writer: &'w mut Writer,
    /// True if no element has been written yet.
    first: bool,
    /// Text that ends the object or list.
    close: &'static str,
}

impl Elements<'_> {
    #[inline]
    fn comma(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.writer.put(b",");
        }
    }

    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.comma();
        value.serialize(&mut *self.writer)
    }

    #[inline(always)]
    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.writer.name(std::mem::replace(&mut self.first, false), name);
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn close(self) -> Result<(), Error> {
        self.writer.raw(self.close.as_bytes());
        Ok(())
    }
}

macro_rules! members {
    ($($kind:ident $method:ident,)*) => {
        $(
            impl $kind for Elements<'_> {
                type Ok = ();
                type Error = Error;
                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                    self.item(value)
                }
                #[inline]
                fn end(self) -> Result<(), Error> {
                    self.close()
                }
            }
        )*
    };
}

members! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

impl SerializeStruct for Elements<'_> {
    type Ok = ();
    type Error = Error;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        if name == RAW {
            return value.serialize(&mut *self.writer);
        }
        self.member(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeStructVariant for Elements<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.member(name, value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeMap for Elements<'_> {
    type Ok = ();
    type Error = Error;

    /// Writes a name. A scalar becomes a text.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Error> {
        self.comma();
        let start = self.writer.len();
        name.serialize(&mut *self.writer)?;
        if self.writer.quote(start) { Ok(()) } else { Err(Error::custom("a member's name must be a text")) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.writer.put(b":");
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}
