//! Rows of the pool as rows of an interface.

use super::Failure;
use super::value::{Kind, Value};
use crate::pool::postgres::{Row, Rows, Type};
use std::error::Error;
use tokio_postgres::types::FromSql;

/// How much of a result is put together for a guest that wants all of it at
/// once. It is held twice for a moment, here and in the guest.
const WHOLE_LIMIT: usize = 64 << 20;

/// How the columns of one result are read, in their order.
pub(super) struct Decoder(Box<[Kind]>);

/// A row, and about how many bytes it takes.
#[derive(Debug)]
pub(super) struct Sized<V> {
    pub(super) row: Vec<V>,
    pub(super) bytes: usize,
}

impl Decoder {
    /// `kind` says what a type reads as in the interface.
    pub(super) fn of(rows: &Rows, kind: impl Fn(&Type) -> Kind) -> Self {
        Self(
            rows.columns()
                .iter()
                .map(|column| kind(column.type_()))
                .collect(),
        )
    }

    /// Reads one row.
    pub(super) fn row<V: From<Value>>(&self, row: &Row) -> Result<Sized<V>, Failure> {
        let values = self
            .0
            .iter()
            .zip(row.columns())
            .enumerate()
            .map(|(index, (kind, column))| {
                // Takes any type, and is given one that is there.
                let raw: Option<Raw<'_>> = row
                    .try_get(index)
                    .map_err(|error| Failure::Other(error.to_string()))?;
                let value = match raw {
                    None => Value::Null,
                    Some(Raw(raw)) => {
                        Value::decode(*kind, raw).map_err(|fault| Failure::Conversion {
                            column: column.name().to_owned(),
                            fault,
                        })?
                    }
                };
                Ok(V::from(value))
            })
            .collect::<Result<Vec<V>, Failure>>()?;
        let bytes = size_of::<Vec<V>>() + values.len() * size_of::<V>() + row.raw_size_bytes();
        Ok(Sized { row: values, bytes })
    }

    /// Reads all rows there are.
    pub(super) async fn all<V: From<Value>>(&self, mut rows: Rows) -> Result<Vec<Vec<V>>, Failure> {
        let mut whole = Vec::new();
        let mut total = 0;
        while let Some(row) = rows.next().await {
            let Sized { row, bytes } = self.row(&row?)?;
            total += bytes;
            if total > WHOLE_LIMIT {
                return Err(Failure::Query(format!(
                    "the result is larger than {} MiB; read it in parts, or as a stream",
                    WHOLE_LIMIT >> 20
                )));
            }
            whole.push(row);
        }
        Ok(whole)
    }
}

/// The server's bytes, whatever they mean.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
