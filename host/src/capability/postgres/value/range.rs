//! Ranges: a byte of flags, then the bounds there are, each with its length.

use std::ops::Bound;

use bytes::{BufMut, BytesMut};

use super::Range;
use super::wire::{Malformed, Reader};

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// Reads a range; an empty one, which the interfaces cannot name, becomes
/// `[zero, zero)`: it holds nothing either, and is empty again when sent back.
pub(super) fn read<T: Clone, E: From<Malformed>>(
    raw: &[u8],
    zero: T,
    bound: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<Range<T>, E> {
    let mut raw = Reader::new(raw);
    let flags = raw.u8()?;
    if flags & EMPTY != 0 {
        raw.end()?;
        return Ok((Bound::Included(zero.clone()), Bound::Excluded(zero)));
    }
    let mut end = |infinite: u8, inclusive: u8| -> Result<Bound<T>, E> {
        if flags & infinite != 0 {
            return Ok(Bound::Unbounded);
        }
        let value = bound(raw.item()?.ok_or(Malformed)?)?;
        Ok(if flags & inclusive != 0 {
            Bound::Included(value)
        } else {
            Bound::Excluded(value)
        })
    };
    let range = (
        end(LOWER_INFINITE, LOWER_INCLUSIVE)?,
        end(UPPER_INFINITE, UPPER_INCLUSIVE)?,
    );
    raw.end()?;
    Ok(range)
}

/// Writes a range. Whether its ends are in order is for the server to say.
pub(super) fn write<T, E>(
    (lower, upper): &Range<T>,
    out: &mut BytesMut,
    bound: impl Fn(&T, &mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    let flag = |end: &Bound<T>, inclusive, infinite| match end {
        Bound::Included(_) => inclusive,
        Bound::Excluded(_) => 0,
        Bound::Unbounded => infinite,
    };
    out.put_u8(
        flag(lower, LOWER_INCLUSIVE, LOWER_INFINITE) | flag(upper, UPPER_INCLUSIVE, UPPER_INFINITE),
    );
    for end in [lower, upper] {
        if let Bound::Included(value) | Bound::Excluded(value) = end {
            with_length(out, |out| bound(value, out))?;
        }
    }
    Ok(())
}

/// Puts what `write` appends behind its length in bytes.
pub(super) fn with_length<E>(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    let at = out.len();
    out.put_i32(0);
    write(out)?;
    // A value that overflowed its length would exceed a message too, which the
    // driver refuses to send.
    let len = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}
