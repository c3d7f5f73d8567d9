//! Why bytes are no document, or a document is not the one that is expected.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

/// Whether the bytes are a document at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// The bytes are not exactly one MessagePack document.
    Framing,
    /// They are one, but it breaks a rule, or has another shape.
    Rule,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    message: Box<str>,
}

impl Fault {
    pub fn framing(message: &str) -> Self {
        Self { kind: FaultKind::Framing, message: message.into() }
    }

    pub fn rule(message: &str) -> Self {
        Self { kind: FaultKind::Rule, message: message.into() }
    }
}

impl Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::rule(&message.to_string())
    }

    /// Without the value: the code that prints floats takes 10 KB.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::rule(&format!("it has another type in place of {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::rule(&format!("it has another value in place of {expected}"))
    }
}

impl serde::ser::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::rule(&message.to_string())
    }
}
