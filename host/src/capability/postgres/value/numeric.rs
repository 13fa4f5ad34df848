//! `numeric` between decimal text and the wire, exactly: every digit and the
//! scale survive, whatever the size. A fixed-width decimal type would not hold
//! what PostgreSQL does (131,072 digits before the point, 16,383 after).
//!
//! The wire format is base 10,000: the number of digits, the weight (power of
//! 10,000) of the first, a sign or special value, the display scale, the digits.

use std::fmt::Write as _;

use bytes::BufMut;

use super::wire::{Malformed, Reader};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Decimal digits in one digit of base 10,000.
const GROUP: usize = 4;
/// The server's limits, from its documentation of `numeric`.
const MAX_INTEGER_DIGITS: usize = 131_072;
const MAX_SCALE: usize = 16_383;

/// The text is no number, or one beyond PostgreSQL's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDecimal;

/// Writes `text` as the server reads it.
pub(super) fn write(text: &str, out: &mut impl BufMut) -> Result<(), NotDecimal> {
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (NEGATIVE, &text[1..]),
        Some(b'+') => (POSITIVE, &text[1..]),
        _ => (POSITIVE, text),
    };
    if unsigned.eq_ignore_ascii_case("infinity") {
        let special = if sign == NEGATIVE {
            NEGATIVE_INFINITY
        } else {
            INFINITY
        };
        header(out, 0, 0, special, 0);
        return Ok(());
    }
    if text.eq_ignore_ascii_case("nan") {
        header(out, 0, 0, NAN, 0);
        return Ok(());
    }

    let (integer, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if integer.len() + fraction.len() == 0 || !all_digits(integer) || !all_digits(fraction) {
        return Err(NotDecimal);
    }
    let integer = integer.trim_start_matches('0');
    if integer.len() > MAX_INTEGER_DIGITS || fraction.len() > MAX_SCALE {
        return Err(NotDecimal);
    }
    let scale = u16::try_from(fraction.len()).map_err(|_| NotDecimal)?;

    let integer_groups = integer.len().div_ceil(GROUP);
    let mut digits = Vec::with_capacity(integer_groups + fraction.len().div_ceil(GROUP));
    // The first group of the integer part may be short, the last of the
    // fraction is filled up with zeros.
    digits.extend(integer.as_bytes().rchunks(GROUP).rev().map(group));
    digits.extend(fraction.as_bytes().chunks(GROUP).map(|chunk| {
        let missing = u32::try_from(GROUP - chunk.len()).unwrap_or_default();
        group(chunk) * 10_u16.pow(missing)
    }));

    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let Some(last) = digits.iter().rposition(|digit| *digit != 0) else {
        header(out, 0, 0, POSITIVE, scale);
        return Ok(());
    };
    let significant = &digits[leading..=last];
    let weight =
        i16::try_from(integer_groups as i64 - leading as i64 - 1).map_err(|_| NotDecimal)?;
    let count = u16::try_from(significant.len()).map_err(|_| NotDecimal)?;
    header(out, count, weight, sign, scale);
    for digit in significant {
        out.put_u16(*digit);
    }
    Ok(())
}

fn header(out: &mut impl BufMut, count: u16, weight: i16, sign: u16, scale: u16) {
    out.put_u16(count);
    out.put_i16(weight);
    out.put_u16(sign);
    out.put_u16(scale);
}

fn group(ascii: &[u8]) -> u16 {
    ascii
        .iter()
        .fold(0, |value, byte| value * 10 + u16::from(byte - b'0'))
}

/// The text that the server itself would print.
pub(super) fn read(raw: &[u8]) -> Result<String, Malformed> {
    let mut raw = Reader::new(raw);
    let count = raw.u16()?;
    let weight = i32::from(raw.i16()?);
    let sign = raw.u16()?;
    let scale = usize::from(raw.u16()?);
    let digits = raw.bytes(usize::from(count) * 2)?;
    raw.end()?;

    let mut text = match sign {
        POSITIVE => String::new(),
        NEGATIVE => String::from("-"),
        NAN => return Ok("NaN".into()),
        INFINITY => return Ok("Infinity".into()),
        NEGATIVE_INFINITY => return Ok("-Infinity".into()),
        _ => return Err(Malformed),
    };
    if scale > MAX_SCALE {
        return Err(Malformed);
    }
    let digits = digits.as_chunks::<2>().0;
    // The digit of the power `position` below the first; zero where none was
    // sent, on either side.
    let digit = |position: i32| match usize::try_from(position).ok().and_then(|at| digits.get(at)) {
        Some(bytes) => match u16::from_be_bytes(*bytes) {
            value @ 0..10_000 => Ok(value),
            _ => Err(Malformed),
        },
        None => Ok(0),
    };

    let mut started = false;
    for position in 0..=weight {
        let value = digit(position)?;
        let written = if started {
            write!(text, "{value:04}")
        } else if value != 0 {
            started = true;
            write!(text, "{value}")
        } else {
            Ok(())
        };
        written.map_err(|_| Malformed)?;
    }
    if !started {
        text.push('0');
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        let mut position = weight + 1;
        while text.len() < end {
            write!(text, "{:04}", digit(position)?).map_err(|_| Malformed)?;
            position += 1;
        }
        text.truncate(end);
    }
    Ok(text)
}
