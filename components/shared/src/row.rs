//! A row of the database's, read column by column in the statement's order.

use std::{fmt, vec};

use spin_sdk::pg::DbValue;

use crate::time::Timestamp;

/// A row that is not what its statement promises: it lacks a column, or one has
/// another type than named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a row has no {} where its statement promises one",
            self.0
        )
    }
}

impl std::error::Error for Malformed {}

/// The columns of a row not read yet.
#[derive(Debug)]
pub struct Columns(vec::IntoIter<DbValue>);

impl Columns {
    pub fn new(row: Vec<DbValue>) -> Self {
        Self(row.into_iter())
    }

    /// An integer of 64 bits.
    pub fn int(&mut self) -> Result<i64, Malformed> {
        self.nullable_int()?.ok_or(Malformed("integer"))
    }

    /// An integer of 64 bits, or null.
    pub fn nullable_int(&mut self) -> Result<Option<i64>, Malformed> {
        match self.0.next() {
            Some(DbValue::Int64(value)) => Ok(Some(value)),
            Some(DbValue::DbNull) => Ok(None),
            _ => Err(Malformed("integer")),
        }
    }

    /// A text.
    pub fn text(&mut self) -> Result<String, Malformed> {
        self.nullable_text()?.ok_or(Malformed("text"))
    }

    /// A text, or null.
    pub fn nullable_text(&mut self) -> Result<Option<String>, Malformed> {
        match self.0.next() {
            Some(DbValue::Str(value)) => Ok(Some(value)),
            Some(DbValue::DbNull) => Ok(None),
            _ => Err(Malformed("text")),
        }
    }

    /// A boolean.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        match self.0.next() {
            Some(DbValue::Boolean(value)) => Ok(value),
            _ => Err(Malformed("boolean")),
        }
    }

    /// A time.
    pub fn time(&mut self) -> Result<Timestamp, Malformed> {
        match self.0.next() {
            Some(DbValue::Datetime((year, month, day, hour, minute, second, _))) => Ok(Timestamp {
                year,
                month,
                day,
                hour,
                minute,
                second,
            }),
            _ => Err(Malformed("time")),
        }
    }
}
