//! MessagePack documents, as the guest ABI has them.

mod check;
mod fault;
mod read;
mod token;
mod write;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::HostError;

use check::check;
pub use fault::Fault;
#[cfg(test)]
pub use fault::FaultKind;

/// `value` as one document, in the shortest form.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Fault> {
    let mut writer = write::Writer::default();
    value.serialize(&mut writer)?;
    Ok(writer.into_bytes())
}

/// The value of the one document in `bytes`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    check(bytes)?;
    T::deserialize(&mut read::Reader::new(bytes))
}

#[derive(Deserialize)]
struct Envelope<T> {
    ok: Option<T>,
    err: Option<HostError>,
}

/// The value of `{ok: {...}}`, or the error of `{err: {...}}`.
pub fn decode_reply<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HostError> {
    match decode::<Envelope<T>>(bytes) {
        Ok(Envelope { err: Some(error), .. }) => Err(error),
        Ok(Envelope { ok: Some(value), .. }) => Ok(value),
        Ok(_) => Err(HostError::internal("The host's reply has neither ok nor err.")),
        Err(fault) => Err(HostError::internal(&format!("The host's reply cannot be read: {fault}."))),
    }
}
