//! Arrays of one dimension: a header with the dimensions and the members'
//! type, then the items, each with its length.

use bytes::{BufMut, BytesMut};
use postgres_types::Type;

use super::decode::Mismatch;
use super::range::with_length;
use super::wire::{Malformed, Reader};

/// The server's limit on dimensions.
const MAX_DIMENSIONS: i32 = 6;

/// Reads an array; the numbering of its items is not kept.
pub(super) fn read<T>(
    raw: &[u8],
    item: impl Fn(&[u8]) -> Result<T, Mismatch>,
) -> Result<Vec<Option<T>>, Mismatch> {
    let mut raw = Reader::new(raw);
    let dimensions = raw.i32()?;
    let _has_nulls = raw.i32()?;
    let _member = raw.i32()?;
    match dimensions {
        0 => {
            raw.end()?;
            return Ok(Vec::new());
        }
        1 => {}
        2..=MAX_DIMENSIONS => return Err(Mismatch::Dimensions(dimensions)),
        _ => return Err(Malformed.into()),
    }
    let count = usize::try_from(raw.i32()?).map_err(|_| Malformed)?;
    let _first_index = raw.i32()?;
    // Each item has a length of four bytes at least: no count makes us reserve
    // more than was received.
    if count > raw.remaining() / 4 {
        return Err(Malformed.into());
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(raw.item()?.map(&item).transpose()?);
    }
    raw.end()?;
    Ok(items)
}

/// Writes an array of `member`s, numbered from 1.
pub(super) fn write<T, E>(
    items: &[Option<T>],
    member: &Type,
    out: &mut BytesMut,
    item: impl Fn(&T, &mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    let has_nulls = items.iter().any(Option::is_none);
    out.put_i32(i32::from(!items.is_empty()));
    out.put_i32(has_nulls.into());
    out.put_u32(member.oid());
    if items.is_empty() {
        return Ok(());
    }
    // More items than this would exceed a message, which the driver refuses.
    out.put_i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
    out.put_i32(1);
    for value in items {
        match value {
            None => out.put_i32(-1),
            Some(value) => with_length(out, |out| item(value, out))?,
        }
    }
    Ok(())
}
