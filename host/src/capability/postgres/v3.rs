//! `spin:postgres@3.0.0`: the guest waits for each statement; fewer types, and
//! errors as text.

use super::bindings::spin::postgres3_0_0::postgres::{
    Column, DbDataType, DbValue, Error, Host as Interface, HostConnection, HostConnectionWithStore,
    ParameterValue, RowSet,
};
use super::failure::Failure;
use super::result::Decoder;
use super::value::{Kind, Value};
use super::{Caller, Connection, close, open};
use crate::capability::{HasCapabilities, Host, View, current_call};
use crate::pool::postgres::{Rows, Type};
use crate::telemetry::trace::Span;
use wasmtime::component::{Access, Resource};

type Answer<V> = wasmtime::Result<Result<V, Error>>;

impl Interface for View<'_> {}

impl HostConnection for View<'_> {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        close(self, connection)
    }
}

impl<T: HasCapabilities> HostConnectionWithStore<T> for Host {
    async fn open(mut store: Access<'_, T, Self>, address: String) -> Answer<Resource<Connection>> {
        current_call(&mut store)?;
        Ok(open(store.get(), &address, None).map_err(Error::from))
    }

    async fn query(
        store: Access<'_, T, Self>,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> Answer<RowSet> {
        let caller = Caller::of(store, &connection)?;
        Ok(whole(&caller, &statement, params)
            .await
            .map_err(Error::from))
    }

    async fn execute(
        store: Access<'_, T, Self>,
        connection: Resource<Connection>,
        statement: String,
        params: Vec<ParameterValue>,
    ) -> Answer<u64> {
        let caller = Caller::of(store, &connection)?;
        Ok(caller
            .execute(&statement, params)
            .await
            .map_err(Error::from))
    }
}

async fn whole(
    caller: &Caller,
    statement: &str,
    params: Vec<ParameterValue>,
) -> Result<RowSet, Failure> {
    let run = async |span: &Span| {
        let rows = caller.query(statement, params, span).await?;
        let columns = columns(&rows);
        let decoder = Decoder::of(&rows, |ty| typed(ty).0);
        let rows = decoder.all(rows).await?;
        Ok(RowSet { columns, rows })
    };
    caller.traced(statement, run).await
}

fn columns(rows: &Rows) -> Vec<Column> {
    rows.columns()
        .iter()
        .map(|column| Column {
            name: column.name().to_owned(),
            data_type: typed(column.type_()).1,
        })
        .collect()
}

/// What a column reads as, and what the guest is told of it. A type without a
/// case is not decoded at all: it must not fail for a value that no guest sees.
fn typed(ty: &Type) -> (Kind, DbDataType) {
    let kind = Kind::of(ty);
    let data_type = match kind {
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
        _ => return (Kind::Other, DbDataType::Other),
    };
    (kind, data_type)
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
            _ => Self::Unsupported,
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
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::Connection(_) => Self::ConnectionFailed(text),
            Failure::Parameter(_) => Self::BadParameter(text),
            Failure::Database(_) | Failure::Query(_) => Self::QueryFailed(text),
            Failure::Conversion { .. } => Self::ValueConversionFailed(text),
            Failure::Other(_) => Self::Other(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parameter, the neutral value, and the value read: one and the same.
    macro_rules! both_ways {
        ($($case:ident => $neutral:ident ($value:expr)),* $(,)?) => {$(
            let neutral = Value::from(ParameterValue::$case($value));
            assert_eq!(neutral, Value::$neutral($value));
            match DbValue::from(neutral) {
                DbValue::$case(read) => assert_eq!(read, $value),
                other => panic!("{other:?}"),
            }
        )*};
    }

    #[test]
    fn values_are_the_same_both_ways() {
        both_ways! {
            Boolean => Boolean(true),
            Int8 => Int8(-8),
            Int16 => Int16(-16),
            Int32 => Int32(-32),
            Int64 => Int64(-64),
            Floating32 => Floating32(0.5),
            Floating64 => Floating64(-0.25),
            Str => Str("x".to_owned()),
            Binary => Binary(vec![0, 255]),
            Date => Date((2000, 2, 29)),
            Time => Time((23, 59, 58, 7)),
            Datetime => DateTime((2000, 2, 29, 1, 2, 3, 4)),
            Timestamp => Timestamp(-1),
        }
        assert_eq!(Value::from(ParameterValue::DbNull), Value::Null);
        assert!(matches!(DbValue::from(Value::Null), DbValue::DbNull));
    }

    #[test]
    fn a_type_without_a_case_is_neither_decoded_nor_named() {
        for ty in [
            Type::UUID,
            Type::JSONB,
            Type::NUMERIC,
            Type::INT4_ARRAY,
            Type::POINT,
        ] {
            let (kind, data_type) = typed(&ty);
            assert_eq!(kind, Kind::Other, "{ty}");
            assert!(matches!(data_type, DbDataType::Other), "{ty}");
        }
        for value in [Value::Uuid("x".into()), Value::Unsupported(vec![1])] {
            assert!(matches!(DbValue::from(value), DbValue::Unsupported));
        }
        assert_eq!(typed(&Type::TIMESTAMPTZ).0, Kind::DateTime);
    }

    #[test]
    fn errors_are_text() {
        let failure = Failure::Query("too large".into());
        assert!(matches!(Error::from(failure), Error::QueryFailed(text) if text == "too large"));
        let failure = Failure::connection("refused");
        assert!(matches!(Error::from(failure), Error::ConnectionFailed(text) if text == "refused"));
    }
}
