//! Any document, and the vectors' way to write one in JSON (guest-abi/vectors/README.md).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

#[derive(Clone, Debug)]
pub enum Document {
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Document>),
    /// In their order.
    Map(Vec<(String, Document)>),
}

impl Document {
    /// The document that a vector's `value` means.
    pub fn of(value: &Value) -> Self {
        let Value::Object(members) = value else {
            return match value {
                Value::Null => Self::Nil,
                Value::Bool(value) => Self::Bool(*value),
                Value::Number(number) if number.is_f64() => Self::Float(number.as_f64().unwrap()),
                Value::Number(number) => Self::Int(number.to_string().parse().unwrap()),
                Value::String(text) => Self::Text(text.clone()),
                Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
                Value::Object(_) => unreachable!(),
            };
        };
        let tagged = members.iter().next().map(|(tag, value)| (tag.as_str(), value.as_str().unwrap_or_default()));
        match tagged {
            Some(("$bin", digits)) => Self::Bytes(unhex(digits)),
            Some(("$int", digits)) => Self::Int(digits.parse().unwrap()),
            Some(("$float", name)) => Self::Float(name.parse().unwrap()),
            _ => Self::Map(members.iter().map(|(key, value)| (key.clone(), Self::of(value))).collect()),
        }
    }

    /// Without members that are nil, which read as absent.
    pub fn without_nil(self) -> Self {
        match self {
            Self::List(items) => Self::List(items.into_iter().map(Self::without_nil).collect()),
            Self::Map(members) => Self::Map(
                members
                    .into_iter()
                    .filter(|(_, value)| !matches!(value, Self::Nil))
                    .map(|(key, value)| (key, value.without_nil()))
                    .collect(),
            ),
            other => other,
        }
    }
}

impl PartialEq for Document {
    /// Members in any order, and NaN is NaN.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Int(one), Self::Int(other)) => one == other,
            (Self::Float(one), Self::Float(other)) => one == other || one.is_nan() && other.is_nan(),
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => {
                let sorted = |members: &[(String, Self)]| members.iter().cloned().collect::<BTreeMap<_, _>>();
                sorted(one) == sorted(other)
            }
            _ => false,
        }
    }
}

pub fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => match i64::try_from(*value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_u64(u64::try_from(*value).unwrap()),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Document;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Document, E> {
                Ok(Document::Nil)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Document, E> {
                Ok(Document::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Document, E> {
                Ok(Document::Int(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Document, E> {
                Ok(Document::Int(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Document, E> {
                Ok(Document::Float(value))
            }

            fn visit_str<E>(self, text: &str) -> Result<Document, E> {
                Ok(Document::Text(text.into()))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Document, E> {
                Ok(Document::Bytes(bytes.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Document::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
                let mut map = Vec::new();
                while let Some(member) = members.next_entry()? {
                    map.push(member);
                }
                Ok(Document::Map(map))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
