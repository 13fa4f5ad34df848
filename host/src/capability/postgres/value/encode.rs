use std::error::Error;

use bytes::{BufMut, BytesMut};
use postgres_types::{IsNull, Kind as TypeKind, ToSql, Type};

use super::{Value, array, calendar, numeric, range};

/// A value bound to `$position`.
#[derive(Debug)]
pub(in crate::capability::postgres) struct Parameter {
    /// From 1, as in the statement.
    position: usize,
    value: Value,
}

/// Why a parameter cannot be sent. Its text names the position and the types,
/// never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("${position}: {fault}")]
pub(in crate::capability::postgres) struct ParameterError {
    position: usize,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("expected {expected}, got {got}")]
    Type { expected: String, got: &'static str },
    #[error("{0}")]
    Invalid(&'static str),
}

impl From<numeric::NotDecimal> for Fault {
    fn from(numeric::NotDecimal: numeric::NotDecimal) -> Self {
        Self::Invalid(
            "not a decimal number: digits with an optional sign and point, \
             at most 131072 before the point and 16383 after it",
        )
    }
}

impl From<calendar::OutOfRange> for Fault {
    fn from(calendar::OutOfRange: calendar::OutOfRange) -> Self {
        Self::Invalid("no such date or time, or one out of range")
    }
}

impl Parameter {
    /// Numbers the values of one statement, from `$1`.
    pub(in crate::capability::postgres) fn all<V: Into<Value>>(values: Vec<V>) -> Vec<Self> {
        (1..)
            .zip(values)
            .map(|(position, value)| Self {
                position,
                value: value.into(),
            })
            .collect()
    }
}

impl ToSql for Parameter {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.value.encode(ty, out).map_err(|fault| {
            // Not boxed first: the caller looks for the error itself.
            let position = self.position;
            ParameterError { position, fault }.into()
        })
    }

    /// Whether the types fit depends on the value: `to_sql` says.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

impl Value {
    fn encode(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        let ty = base(ty);
        match (self, ty) {
            (Self::Null, _) => return Ok(IsNull::Yes),
            (Self::Boolean(value), &Type::BOOL) => out.put_u8((*value).into()),
            (Self::Int8(value), &Type::CHAR) => out.put_i8(*value),
            (Self::Int16(value), &Type::INT2) => out.put_i16(*value),
            (Self::Int32(value), &Type::INT4) => out.put_i32(*value),
            (Self::Int64(value), &Type::INT8) => out.put_i64(*value),
            (Self::Floating32(value), &Type::FLOAT4) => out.put_f32(*value),
            (Self::Floating64(value), &Type::FLOAT8) => out.put_f64(*value),
            (Self::Str(value), ty) if takes_text(ty) => text(value, ty, out)?,
            (Self::Binary(value), &Type::BYTEA) => out.put_slice(value),
            (Self::Date(value), &Type::DATE) => out.put_i32(calendar::days_from_date(*value)?),
            (Self::Time(value), &Type::TIME) => out.put_i64(calendar::micros_from_time(*value)?),
            (Self::DateTime(value), &Type::TIMESTAMP | &Type::TIMESTAMPTZ) => {
                out.put_i64(calendar::micros_from_datetime(*value)?);
            }
            (Self::Timestamp(value), &Type::TIMESTAMPTZ) => {
                out.put_i64(calendar::micros_from_timestamp(*value)?);
            }
            (Self::Uuid(value), &Type::UUID) => {
                let uuid = uuid::Uuid::parse_str(value)
                    .map_err(|_| Fault::Invalid("the text is not a UUID"))?;
                out.put_slice(uuid.as_bytes());
            }
            (Self::Jsonb(value), &Type::JSON | &Type::JSONB) => json(value, ty, out)?,
            (Self::Decimal(value), &Type::NUMERIC) => numeric::write(value, out)?,
            (Self::RangeInt32(value), &Type::INT4_RANGE) => range::write(value, out, int32)?,
            (Self::RangeInt64(value), &Type::INT8_RANGE) => range::write(value, out, int64)?,
            (Self::RangeDecimal(value), &Type::NUM_RANGE) => range::write(value, out, decimal)?,
            (Self::Interval(value), &Type::INTERVAL) => {
                out.put_i64(value.micros);
                out.put_i32(value.days);
                out.put_i32(value.months);
            }
            (Self::Unsupported(value), _) => out.put_slice(value),
            _ => return self.encode_array(ty, out),
        }
        Ok(IsNull::No)
    }

    fn encode_array(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        let wrong = || Fault::Type {
            expected: ty.name().to_owned(),
            got: self.type_name(),
        };
        let TypeKind::Array(member) = ty.kind() else {
            return Err(wrong());
        };
        match (self, base(member)) {
            (Self::ArrayInt32(items), &Type::INT4) => array::write(items, member, out, int32)?,
            (Self::ArrayInt64(items), &Type::INT8) => array::write(items, member, out, int64)?,
            (Self::ArrayDecimal(items), &Type::NUMERIC) => {
                array::write(items, member, out, decimal)?;
            }
            (Self::ArrayStr(items), inner) if takes_text(inner) => {
                array::write(items, member, out, |item, out| text(item, inner, out))?;
            }
            _ => return Err(wrong()),
        }
        Ok(IsNull::No)
    }

    /// PostgreSQL's name of the type that this value is sent as.
    fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "bool",
            Self::Int8(_) => "\"char\"",
            Self::Int16(_) => "int2",
            Self::Int32(_) => "int4",
            Self::Int64(_) => "int8",
            Self::Floating32(_) => "float4",
            Self::Floating64(_) => "float8",
            Self::Str(_) => "text",
            Self::Binary(_) => "bytea",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::DateTime(_) => "timestamp",
            Self::Timestamp(_) => "timestamptz",
            Self::Uuid(_) => "uuid",
            Self::Jsonb(_) => "jsonb",
            Self::Decimal(_) => "numeric",
            Self::RangeInt32(_) => "int4range",
            Self::RangeInt64(_) => "int8range",
            Self::RangeDecimal(_) => "numrange",
            Self::ArrayInt32(_) => "int4[]",
            Self::ArrayInt64(_) => "int8[]",
            Self::ArrayDecimal(_) => "numeric[]",
            Self::ArrayStr(_) => "text[]",
            Self::Interval(_) => "interval",
            Self::Unsupported(_) => "raw bytes",
        }
    }
}

/// The type below any domains.
fn base(mut ty: &Type) -> &Type {
    while let TypeKind::Domain(inner) = ty.kind() {
        ty = inner;
    }
    ty
}

/// Text goes to every type whose binary form is its text, enums included.
fn takes_text(ty: &Type) -> bool {
    <&str as ToSql>::accepts(ty) || matches!(ty.kind(), TypeKind::Enum(_))
}

fn text(value: &str, ty: &Type, out: &mut BytesMut) -> Result<(), Fault> {
    match value.to_sql(ty, out) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::Invalid("the text cannot be sent")),
    }
}

/// Sends the text as it is, once it is known to be JSON: the server's refusal
/// would end the transaction that the statement is part of.
fn json(value: &[u8], ty: &Type, out: &mut BytesMut) -> Result<(), Fault> {
    if serde_json::from_slice::<serde::de::IgnoredAny>(value).is_err() {
        return Err(Fault::Invalid("the text is not JSON"));
    }
    if *ty == Type::JSONB {
        out.put_u8(super::decode::JSONB_VERSION);
    }
    out.put_slice(value);
    Ok(())
}

// `Infallible` would do for these two; `Fault` lets them stand beside `decimal`.
fn int32(value: &i32, out: &mut BytesMut) -> Result<(), Fault> {
    out.put_i32(*value);
    Ok(())
}

fn int64(value: &i64, out: &mut BytesMut) -> Result<(), Fault> {
    out.put_i64(*value);
    Ok(())
}

#[expect(clippy::ptr_arg, reason = "the writers hand out what the value holds")]
fn decimal(value: &String, out: &mut BytesMut) -> Result<(), Fault> {
    Ok(numeric::write(value, out)?)
}
