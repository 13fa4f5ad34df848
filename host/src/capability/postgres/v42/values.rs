//! The interface's values and types, and the neutral ones.

use super::super::bindings::spin::postgres4_2_0::postgres::{
    DbDataType, DbValue, Interval, ParameterValue, RangeBoundKind,
};
use super::super::value::{self, Kind, Range, Value};
use crate::pool::postgres::Type;
use std::ops::Bound;

/// An end of a range; none where it has no end.
type End<T> = Option<(T, RangeBoundKind)>;

/// What the guest is told of a column's type.
pub(super) fn data_type(ty: &Type) -> DbDataType {
    match Kind::of(ty) {
        Kind::Boolean => DbDataType::Boolean,
        Kind::Int8 => DbDataType::Int8,
        Kind::Int16 => DbDataType::Int16,
        Kind::Int32 => DbDataType::Int32,
        Kind::Int64 => DbDataType::Int64,
        Kind::Floating32 => DbDataType::Floating32,
        Kind::Floating64 => DbDataType::Floating64,
        Kind::Str => DbDataType::Str,
        Kind::Binary => DbDataType::Binary,
        Kind::Date => DbDataType::Date,
        Kind::Time => DbDataType::Time,
        Kind::DateTime => DbDataType::Datetime,
        Kind::Uuid => DbDataType::Uuid,
        Kind::Jsonb => DbDataType::Jsonb,
        Kind::Decimal => DbDataType::Decimal,
        Kind::RangeInt32 => DbDataType::RangeInt32,
        Kind::RangeInt64 => DbDataType::RangeInt64,
        Kind::RangeDecimal => DbDataType::RangeDecimal,
        Kind::ArrayInt32 => DbDataType::ArrayInt32,
        Kind::ArrayInt64 => DbDataType::ArrayInt64,
        Kind::ArrayDecimal => DbDataType::ArrayDecimal,
        Kind::ArrayStr => DbDataType::ArrayStr,
        Kind::Interval => DbDataType::Interval,
        Kind::Other => DbDataType::Other(ty.name().to_owned()),
    }
}

impl From<Value> for DbValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::DbNull,
            Value::Boolean(value) => Self::Boolean(value),
            Value::Int8(value) => Self::Int8(value),
            Value::Int16(value) => Self::Int16(value),
            Value::Int32(value) => Self::Int32(value),
            Value::Int64(value) => Self::Int64(value),
            Value::Floating32(value) => Self::Floating32(value),
            Value::Floating64(value) => Self::Floating64(value),
            Value::Str(value) => Self::Str(value),
            Value::Binary(value) => Self::Binary(value),
            Value::Date(value) => Self::Date(value),
            Value::Time(value) => Self::Time(value),
            Value::DateTime(value) => Self::Datetime(value),
            Value::Timestamp(value) => Self::Timestamp(value),
            Value::Uuid(value) => Self::Uuid(value),
            Value::Jsonb(value) => Self::Jsonb(value),
            Value::Decimal(value) => Self::Decimal(value),
            Value::RangeInt32(value) => Self::RangeInt32(ends(value)),
            Value::RangeInt64(value) => Self::RangeInt64(ends(value)),
            Value::RangeDecimal(value) => Self::RangeDecimal(ends(value)),
            Value::ArrayInt32(value) => Self::ArrayInt32(value),
            Value::ArrayInt64(value) => Self::ArrayInt64(value),
            Value::ArrayDecimal(value) => Self::ArrayDecimal(value),
            Value::ArrayStr(value) => Self::ArrayStr(value),
            Value::Interval(value::Interval {
                micros,
                days,
                months,
            }) => Self::Interval(Interval {
                micros,
                days,
                months,
            }),
            Value::Unsupported(value) => Self::Unsupported(value),
        }
    }
}

impl From<ParameterValue> for Value {
    fn from(value: ParameterValue) -> Self {
        match value {
            ParameterValue::DbNull => Self::Null,
            ParameterValue::Boolean(value) => Self::Boolean(value),
            ParameterValue::Int8(value) => Self::Int8(value),
            ParameterValue::Int16(value) => Self::Int16(value),
            ParameterValue::Int32(value) => Self::Int32(value),
            ParameterValue::Int64(value) => Self::Int64(value),
            ParameterValue::Floating32(value) => Self::Floating32(value),
            ParameterValue::Floating64(value) => Self::Floating64(value),
            ParameterValue::Str(value) => Self::Str(value),
            ParameterValue::Binary(value) => Self::Binary(value),
            ParameterValue::Date(value) => Self::Date(value),
            ParameterValue::Time(value) => Self::Time(value),
            ParameterValue::Datetime(value) => Self::DateTime(value),
            ParameterValue::Timestamp(value) => Self::Timestamp(value),
            ParameterValue::Uuid(value) => Self::Uuid(value),
            ParameterValue::Jsonb(value) => Self::Jsonb(value),
            ParameterValue::Decimal(value) => Self::Decimal(value),
            ParameterValue::RangeInt32(value) => Self::RangeInt32(range(value)),
            ParameterValue::RangeInt64(value) => Self::RangeInt64(range(value)),
            ParameterValue::RangeDecimal(value) => Self::RangeDecimal(range(value)),
            ParameterValue::ArrayInt32(value) => Self::ArrayInt32(value),
            ParameterValue::ArrayInt64(value) => Self::ArrayInt64(value),
            ParameterValue::ArrayDecimal(value) => Self::ArrayDecimal(value),
            ParameterValue::ArrayStr(value) => Self::ArrayStr(value),
            ParameterValue::Interval(Interval {
                micros,
                days,
                months,
            }) => Self::Interval(value::Interval {
                micros,
                days,
                months,
            }),
        }
    }
}

fn ends<T>((lower, upper): Range<T>) -> (End<T>, End<T>) {
    let end = |bound| match bound {
        Bound::Included(value) => Some((value, RangeBoundKind::Inclusive)),
        Bound::Excluded(value) => Some((value, RangeBoundKind::Exclusive)),
        Bound::Unbounded => None,
    };
    (end(lower), end(upper))
}

fn range<T>((lower, upper): (End<T>, End<T>)) -> Range<T> {
    let bound = |end| match end {
        Some((value, RangeBoundKind::Inclusive)) => Bound::Included(value),
        Some((value, RangeBoundKind::Exclusive)) => Bound::Excluded(value),
        None => Bound::Unbounded,
    };
    (bound(lower), bound(upper))
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
