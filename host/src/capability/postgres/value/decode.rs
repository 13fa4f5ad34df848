use super::wire::{Malformed, Reader, fixed};
use super::{Interval, Kind, Value, array, calendar, numeric, range};

/// Why a column's bytes do not become a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::capability::postgres) enum Mismatch {
    #[error("the server's bytes do not follow the type's binary format")]
    Malformed,
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("infinite, or outside the calendar's years")]
    OutOfRange,
    #[error("an array of {0} dimensions; only one is supported")]
    Dimensions(i32),
}

impl From<Malformed> for Mismatch {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<calendar::OutOfRange> for Mismatch {
    fn from(calendar::OutOfRange: calendar::OutOfRange) -> Self {
        Self::OutOfRange
    }
}

/// The version that starts the binary form of `jsonb`.
pub(super) const JSONB_VERSION: u8 = 1;

impl Value {
    /// Reads `raw`, a value of `kind` that is not NULL, copying it once.
    pub(in crate::capability::postgres) fn decode(
        kind: Kind,
        raw: &[u8],
    ) -> Result<Self, Mismatch> {
        Ok(match kind {
            Kind::Boolean => match fixed(raw)? {
                [0] => Self::Boolean(false),
                [1] => Self::Boolean(true),
                _ => return Err(Mismatch::Malformed),
            },
            Kind::Int8 => Self::Int8(i8::from_be_bytes(fixed(raw)?)),
            Kind::Int16 => Self::Int16(i16::from_be_bytes(fixed(raw)?)),
            Kind::Int32 => Self::Int32(int32(raw)?),
            Kind::Int64 => Self::Int64(int64(raw)?),
            Kind::Floating32 => Self::Floating32(f32::from_be_bytes(fixed(raw)?)),
            Kind::Floating64 => Self::Floating64(f64::from_be_bytes(fixed(raw)?)),
            Kind::Str => Self::Str(text(raw)?),
            Kind::Binary => Self::Binary(raw.to_vec()),
            Kind::Date => Self::Date(calendar::date_from_days(int32(raw)?)?),
            Kind::Time => Self::Time(calendar::time_from_micros(int64(raw)?)?),
            Kind::DateTime => Self::DateTime(calendar::datetime_from_micros(int64(raw)?)?),
            Kind::Uuid => Self::Uuid(uuid::Uuid::from_bytes(fixed(raw)?).hyphenated().to_string()),
            Kind::Jsonb => match raw.split_first() {
                Some((&JSONB_VERSION, json)) => Self::Jsonb(json.to_vec()),
                _ => return Err(Mismatch::Malformed),
            },
            Kind::Decimal => Self::Decimal(decimal(raw)?),
            Kind::RangeInt32 => Self::RangeInt32(range::read(raw, 0, int32)?),
            Kind::RangeInt64 => Self::RangeInt64(range::read(raw, 0, int64)?),
            Kind::RangeDecimal => Self::RangeDecimal(range::read(raw, "0".to_owned(), decimal)?),
            Kind::ArrayInt32 => Self::ArrayInt32(array::read(raw, int32)?),
            Kind::ArrayInt64 => Self::ArrayInt64(array::read(raw, int64)?),
            Kind::ArrayDecimal => Self::ArrayDecimal(array::read(raw, decimal)?),
            Kind::ArrayStr => Self::ArrayStr(array::read(raw, text)?),
            Kind::Interval => {
                let mut raw = Reader::new(raw);
                let interval = Interval {
                    micros: raw.i64()?,
                    days: raw.i32()?,
                    months: raw.i32()?,
                };
                raw.end()?;
                Self::Interval(interval)
            }
            Kind::Other => Self::Unsupported(raw.to_vec()),
        })
    }
}

fn int32(raw: &[u8]) -> Result<i32, Mismatch> {
    Ok(i32::from_be_bytes(fixed(raw)?))
}

fn int64(raw: &[u8]) -> Result<i64, Mismatch> {
    Ok(i64::from_be_bytes(fixed(raw)?))
}

fn decimal(raw: &[u8]) -> Result<String, Mismatch> {
    Ok(numeric::read(raw)?)
}

fn text(raw: &[u8]) -> Result<String, Mismatch> {
    match std::str::from_utf8(raw) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Mismatch::NotUtf8),
    }
}
