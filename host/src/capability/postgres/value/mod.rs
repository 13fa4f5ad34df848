//! SQL values as the capability sees them: one neutral [`Value`] between the
//! interfaces' own types and PostgreSQL's binary wire format.
//!
//! Parameters must have exactly the type that the statement asks for, as under
//! Spin: nothing is widened or cast here, so that a component behaves alike on
//! both hosts. Domains count as the type they are built on.

mod array;
mod calendar;
mod decode;
mod encode;
mod kind;
mod numeric;
mod range;
#[cfg(test)]
mod tests;
mod wire;

use std::ops::Bound;

pub(super) use decode::Mismatch;
pub(super) use encode::{Parameter, ParameterError};
pub(super) use kind::Kind;

/// Lower and upper end.
pub(super) type Range<T> = (Bound<T>, Bound<T>);
/// Year (0 is 1 BC), month, day.
pub(super) type Date = (i32, u8, u8);
/// Hour, minute, second, nanosecond.
pub(super) type Time = (u8, u8, u8, u32);
/// A date and a time of day.
pub(super) type DateTime = (i32, u8, u8, u8, u8, u8, u32);

/// PostgreSQL's three-part interval; the parts are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) micros: i64,
    pub(super) days: i32,
    pub(super) months: i32,
}

/// A value on its way to a parameter, or from a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    /// `"char"`: one byte.
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Floating32(f32),
    Floating64(f64),
    Str(String),
    Binary(Vec<u8>),
    Date(Date),
    Time(Time),
    /// `timestamp`, and `timestamptz` in UTC.
    DateTime(DateTime),
    /// Seconds since 1970-01-01T00:00:00Z, for a `timestamptz` parameter.
    Timestamp(i64),
    /// The 36-character text form.
    Uuid(String),
    /// JSON text in UTF-8.
    Jsonb(Vec<u8>),
    /// Decimal text: digits with an optional sign and point, or `NaN`,
    /// `Infinity`, `-Infinity`.
    Decimal(String),
    RangeInt32(Range<i32>),
    RangeInt64(Range<i64>),
    RangeDecimal(Range<String>),
    ArrayInt32(Vec<Option<i32>>),
    ArrayInt64(Vec<Option<i64>>),
    ArrayDecimal(Vec<Option<String>>),
    ArrayStr(Vec<Option<String>>),
    Interval(Interval),
    /// The bytes of a type that has no case here, in the server's binary form.
    Unsupported(Vec<u8>),
}
