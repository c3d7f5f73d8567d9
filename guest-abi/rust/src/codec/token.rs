//! A document's parts, one after the other.

use super::fault::Fault;

/// A scalar, or the start of a container. Text is not checked to be UTF-8.
pub enum Token<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    List(usize),
    Map(usize),
    /// An extension type; guest ABI v1 has none.
    Extension,
}

/// Take `length` bytes off the start of `rest`.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Fault> {
    let (taken, after) = rest.split_at_checked(length).ok_or_else(|| Fault::framing("it ends too early"))?;
    *rest = after;
    Ok(taken)
}

/// Take an unsigned integer of `width` bytes.
fn number(rest: &mut &[u8], width: usize) -> Result<u64, Fault> {
    Ok(take(rest, width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn length(rest: &mut &[u8], width: usize) -> Result<usize, Fault> {
    Ok(number(rest, width)? as usize)
}

/// Take the next token.
pub fn next<'a>(rest: &mut &'a [u8]) -> Result<Token<'a>, Fault> {
    let first = take(rest, 1)?[0];
    let low = usize::from(first);
    Ok(match first {
        0x00..=0x7f => Token::Unsigned(u64::from(first)),
        0x80..=0x8f => Token::Map(low & 0x0f),
        0x90..=0x9f => Token::List(low & 0x0f),
        0xa0..=0xbf => Token::Text(take(rest, low & 0x1f)?),
        0xc0 => Token::Nil,
        0xc1 => return Err(Fault::framing("it has the byte 0xc1, which MessagePack does not use")),
        0xc2 | 0xc3 => Token::Bool(first == 0xc3),
        0xc4..=0xc6 => {
            let length = length(rest, 1 << (first - 0xc4))?;
            Token::Bytes(take(rest, length)?)
        }
        0xc7..=0xc9 => {
            let length = length(rest, 1 << (first - 0xc7))?;
            take(rest, 1)?;
            take(rest, length)?;
            Token::Extension
        }
        0xca => Token::Float(f64::from(f32::from_bits(number(rest, 4)? as u32))),
        0xcb => Token::Float(f64::from_bits(number(rest, 8)?)),
        0xcc..=0xcf => Token::Unsigned(number(rest, 1 << (first - 0xcc))?),
        0xd0..=0xd3 => {
            let width = 1 << (first - 0xd0);
            let unused = 64 - 8 * width as u32;
            Token::Signed((number(rest, width)? << unused) as i64 >> unused)
        }
        0xd4..=0xd8 => {
            take(rest, 1 + (1 << (first - 0xd4)))?;
            Token::Extension
        }
        0xd9..=0xdb => {
            let length = length(rest, 1 << (first - 0xd9))?;
            Token::Text(take(rest, length)?)
        }
        0xdc | 0xdd => Token::List(length(rest, 2 << (first - 0xdc))?),
        0xde | 0xdf => Token::Map(length(rest, 2 << (first - 0xde))?),
        0xe0..=0xff => Token::Signed(i64::from(first as i8)),
    })
}
