//! The rules of every document (guest ABI, "Refusals").

use super::fault::Fault;
use super::token::{Token, next};

/// Containers nest no deeper.
const MAX_DEPTH: usize = 32;

/// A container whose end was not reached.
struct Open {
    /// Values that are missing, keys included.
    missing: usize,
    /// Where the keys begin that this map has so far; `None` for a list.
    keys_from: Option<usize>,
}

/// Check that `bytes` are one document that keeps the rules. Framing is judged before rules.
pub fn check(bytes: &[u8]) -> Result<(), Fault> {
    let mut rest = bytes;
    let mut open: Vec<Open> = Vec::with_capacity(8);
    let mut keys: Vec<&[u8]> = Vec::with_capacity(32);
    let mut broken = None;
    loop {
        let token = next(&mut rest)?;
        let mut rule = |kept: bool, message: &'static str| {
            if !kept && broken.is_none() {
                broken = Some(message);
            }
        };
        let key = open.last().is_some_and(|map| map.keys_from.is_some() && map.missing % 2 == 0);
        rule(!key || matches!(token, Token::Text(_)), "a key is not a string");
        match token {
            Token::Text(text) => {
                rule(std::str::from_utf8(text).is_ok(), "a string is not UTF-8");
                if key {
                    keys.push(text);
                }
            }
            Token::Extension => rule(false, "it has an extension type"),
            Token::List(_) | Token::Map(_) => rule(open.len() < MAX_DEPTH, "it nests deeper than 32 levels"),
            _ => {}
        }
        if let Some(container) = open.last_mut() {
            container.missing -= 1;
        }
        match token {
            Token::List(length) => open.push(Open { missing: length, keys_from: None }),
            Token::Map(length) => {
                let missing = length.checked_mul(2).ok_or_else(|| Fault::framing("it ends too early"))?;
                open.push(Open { missing, keys_from: Some(keys.len()) });
            }
            _ => {}
        }
        while let Some(Open { keys_from, .. }) = open.pop_if(|container| container.missing == 0) {
            if let Some(start) = keys_from {
                keys[start..].sort_unstable();
                rule(keys[start..].windows(2).all(|pair| pair[0] != pair[1]), "a map has a key twice");
                keys.truncate(start);
            }
        }
        if open.is_empty() {
            break;
        }
    }
    if !rest.is_empty() {
        return Err(Fault::framing("something follows it"));
    }
    broken.map_or(Ok(()), |message| Err(Fault::rule(message)))
}
