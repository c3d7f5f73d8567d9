//! Documents that serde writes.

use serde::ser::{self, Impossible, Serialize};

use super::fault::Fault;

const LIST: u8 = 0x90;
const MAP: u8 = 0x80;

/// Writes one document, each part in its shortest form; floats have 64 bits.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A first byte and the lowest `width` bytes of `value`.
    fn put(&mut self, first: u8, value: u64, width: usize) {
        self.bytes.push(first);
        self.bytes.extend_from_slice(&value.to_be_bytes()[8 - width..]);
    }

    /// The head of a string, bytes or container. `short` is the first byte of the form with the length inside it,
    /// `shorter_than` the first length that does not fit there; `long` those of 8, 16 and 32 bits, 0 for none.
    fn head(&mut self, length: usize, short: u8, shorter_than: usize, long: [u8; 3]) -> Result<(), Fault> {
        let value = length as u64;
        match length {
            _ if length < shorter_than => self.bytes.push(short | length as u8),
            0..=0xff if long[0] != 0 => self.put(long[0], value, 1),
            0..=0xffff => self.put(long[1], value, 2),
            _ if u32::try_from(length).is_ok() => self.put(long[2], value, 4),
            _ => return Err(Fault::rule("it is longer than MessagePack allows")),
        }
        Ok(())
    }

    /// The head of a list or a map, which `short` tells apart; its members follow.
    fn container(&mut self, length: Option<usize>, short: u8) -> Result<&mut Self, Fault> {
        let length = length.ok_or_else(|| Fault::rule("a list or map does not know its length"))?;
        let long = if short == LIST { 0xdc } else { 0xde };
        self.head(length, short, 16, [0, long, long + 1])?;
        Ok(self)
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        self.head(text.len(), 0xa0, 32, [0xd9, 0xda, 0xdb])?;
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn unsigned(&mut self, value: u64) {
        match value {
            0..=0x7f => self.bytes.push(value as u8),
            0x80..=0xff => self.put(0xcc, value, 1),
            0x100..=0xffff => self.put(0xcd, value, 2),
            0x1_0000..=0xffff_ffff => self.put(0xce, value, 4),
            _ => self.put(0xcf, value, 8),
        }
    }

    fn signed(&mut self, value: i64) {
        match value {
            0.. => self.unsigned(value as u64),
            -0x20..0 => self.bytes.push(value as u8),
            -0x80..-0x20 => self.put(0xd0, value as u64, 1),
            -0x8000..-0x80 => self.put(0xd1, value as u64, 2),
            -0x8000_0000..-0x8000 => self.put(0xd2, value as u64, 4),
            _ => self.put(0xd3, value as u64, 8),
        }
    }
}

fn unsupported<T>() -> Result<T, Fault> {
    Err(Fault::rule("it has a type that messages do not have"))
}

macro_rules! numbers {
    ($($method:ident: $type:ty => $put:ident as $wide:ty;)*) => {
        $(fn $method(self, value: $type) -> Result<(), Fault> {
            self.$put(<$wide>::from(value));
            Ok(())
        })*
    };
}

impl ser::Serializer for &mut Writer {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), Fault>;
    type SerializeTupleVariant = Impossible<(), Fault>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Fault>;

    numbers! {
        serialize_i8: i8 => signed as i64;
        serialize_i16: i16 => signed as i64;
        serialize_i32: i32 => signed as i64;
        serialize_i64: i64 => signed as i64;
        serialize_u8: u8 => unsigned as u64;
        serialize_u16: u16 => unsigned as u64;
        serialize_u32: u32 => unsigned as u64;
        serialize_u64: u64 => unsigned as u64;
    }

    fn serialize_bool(self, value: bool) -> Result<(), Fault> {
        self.bytes.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fault> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fault> {
        self.put(0xcb, value.to_bits(), 8);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Fault> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Fault> {
        self.text(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fault> {
        self.head(value.len(), 0, 0, [0xc4, 0xc5, 0xc6])?;
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Fault> {
        self.bytes.push(0xc0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fault> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Fault> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Fault> {
        unsupported()
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Fault> {
        self.container(length, LIST)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self, Fault> {
        self.container(Some(length), LIST)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Impossible<(), Fault>, Fault> {
        unsupported()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Fault>, Fault> {
        unsupported()
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, Fault> {
        self.container(length, MAP)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Self, Fault> {
        self.container(Some(length), MAP)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Fault>, Fault> {
        unsupported()
    }
}

impl ser::SerializeSeq for &mut Writer {
    type Ok = ();
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Fault> {
        Ok(())
    }
}

impl ser::SerializeTuple for &mut Writer {
    type Ok = ();
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Fault> {
        Ok(())
    }
}

impl ser::SerializeMap for &mut Writer {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Fault> {
        Ok(())
    }
}

impl ser::SerializeStruct for &mut Writer {
    type Ok = ();
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Fault> {
        self.text(key)?;
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Fault> {
        Ok(())
    }
}
