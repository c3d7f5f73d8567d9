//! Documents for serde to read.

use serde::de::{self, DeserializeSeed, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::fault::Fault;
use super::token::{Token, next};

/// Reads a document that was checked.
pub struct Reader<'de> {
    rest: &'de [u8],
}

impl<'de> Reader<'de> {
    pub fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes }
    }

    fn skip(&mut self) -> Result<(), Fault> {
        let mut values = 1;
        while values > 0 {
            values = values - 1
                + match next(&mut self.rest)? {
                    Token::List(length) => length,
                    Token::Map(length) => 2 * length,
                    _ => 0,
                };
        }
        Ok(())
    }
}

fn utf8(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(text).map_err(|_| Fault::rule("a string is not UTF-8"))
}

fn integral(token: Token<'_>) -> Token<'_> {
    match token {
        Token::Float(value) if value as i64 as f64 == value => Token::Signed(value as i64),
        other => other,
    }
}

fn unexpected<T>(expected: &dyn Expected) -> Result<T, Fault> {
    Err(de::Error::invalid_type(Unexpected::Other(""), expected))
}

/// Methods that do as another one does.
macro_rules! same {
    ($($as_in:ident: $($method:ident)*;)*) => {
        $($(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.$as_in(visitor)
        })*)*
    };
}

/// Each method but the first takes only the tokens of its own type: all of them in each double a module's size.
impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match next(&mut self.rest)? {
            Token::Nil => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Unsigned(value) => visitor.visit_u64(value),
            Token::Signed(value) => visitor.visit_i64(value),
            Token::Float(value) => visitor.visit_f64(value),
            Token::Text(text) => visitor.visit_str(utf8(text)?),
            Token::Bytes(bytes) => visitor.visit_bytes(bytes),
            Token::List(missing) => visitor.visit_seq(Members { reader: self, missing }),
            Token::Map(missing) => visitor.visit_map(Members { reader: self, missing }),
            Token::Extension => Err(Fault::rule("it has an extension type")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.rest.first() == Some(&0xc0) {
            self.rest = &self.rest[1..];
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match next(&mut self.rest)? {
            Token::Bool(value) => visitor.visit_bool(value),
            _ => unexpected(&visitor),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match integral(next(&mut self.rest)?) {
            Token::Unsigned(value) => visitor.visit_u64(value),
            Token::Signed(value) => visitor.visit_i64(value),
            _ => unexpected(&visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match next(&mut self.rest)? {
            Token::Text(text) => visitor.visit_str(utf8(text)?),
            _ => unexpected(&visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match next(&mut self.rest)? {
            Token::Bytes(bytes) => visitor.visit_bytes(bytes),
            _ => unexpected(&visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match next(&mut self.rest)? {
            Token::List(missing) => visitor.visit_seq(Members { reader: self, missing }),
            _ => unexpected(&visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match next(&mut self.rest)? {
            Token::Map(missing) => visitor.visit_map(Members { reader: self, missing }),
            _ => unexpected(&visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.skip()?;
        visitor.visit_unit()
    }

    same! {
        deserialize_i64: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_u8 deserialize_u16 deserialize_u32
            deserialize_u64;
        deserialize_str: deserialize_string deserialize_identifier deserialize_char;
    }

    forward_to_deserialize_any! { i128 u128 f32 f64 bytes unit unit_struct newtype_struct tuple tuple_struct enum }
}

/// The members of a list or a map that were not read.
struct Members<'reader, 'de> {
    reader: &'reader mut Reader<'de>,
    missing: usize,
}

impl<'de> SeqAccess<'de> for Members<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        if self.missing == 0 {
            return Ok(None);
        }
        self.missing -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        seed.deserialize(&mut *self.reader)
    }
}
