use postgres_types::Type;

/// Which [`Value`](super::Value) a column's type reads as.
///
/// What Spin reads as `unsupported` is `Other` here too, with one exception:
/// `"char"` reads as the interface's `int8`, which nothing else would produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capability::postgres) enum Kind {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Floating32,
    Floating64,
    Str,
    Binary,
    Date,
    Time,
    DateTime,
    Uuid,
    Jsonb,
    Decimal,
    RangeInt32,
    RangeInt64,
    RangeDecimal,
    ArrayInt32,
    ArrayInt64,
    ArrayDecimal,
    ArrayStr,
    Interval,
    Other,
}

impl Kind {
    pub(in crate::capability::postgres) fn of(ty: &Type) -> Self {
        match *ty {
            Type::BOOL => Self::Boolean,
            Type::CHAR => Self::Int8,
            Type::INT2 => Self::Int16,
            Type::INT4 => Self::Int32,
            Type::INT8 => Self::Int64,
            Type::FLOAT4 => Self::Floating32,
            Type::FLOAT8 => Self::Floating64,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => Self::Str,
            Type::BYTEA => Self::Binary,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMESTAMP | Type::TIMESTAMPTZ => Self::DateTime,
            Type::UUID => Self::Uuid,
            Type::JSONB => Self::Jsonb,
            Type::NUMERIC => Self::Decimal,
            Type::INT4_RANGE => Self::RangeInt32,
            Type::INT8_RANGE => Self::RangeInt64,
            Type::NUM_RANGE => Self::RangeDecimal,
            Type::INT4_ARRAY => Self::ArrayInt32,
            Type::INT8_ARRAY => Self::ArrayInt64,
            Type::NUMERIC_ARRAY => Self::ArrayDecimal,
            Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => Self::ArrayStr,
            Type::INTERVAL => Self::Interval,
            _ => Self::Other,
        }
    }
}
