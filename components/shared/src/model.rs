//! The three objects as the API shows them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    row::{Columns, Malformed},
    time::Timestamp,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    pub id: i64,
    pub username: String,
    pub email: String,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Url {
    pub id: i64,
    pub user_id: Option<i64>,
    pub short_code: String,
    pub original_url: String,
    pub title: Option<String>,
    pub is_active: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub id: i64,
    pub url_id: i64,
    pub user_id: Option<i64>,
    pub event_type: String,
    pub timestamp: Timestamp,
    /// An object, in the words in which it was recorded.
    pub details: Box<RawValue>,
}

/// An object that a row of a statement spells, column by column.
pub trait FromRow: Sized {
    /// Takes the object's columns off the row.
    fn from_row(row: &mut Columns) -> Result<Self, Malformed>;
}

/// A row of one text.
impl FromRow for String {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        row.text()
    }
}

impl FromRow for User {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        Ok(Self {
            id: row.int()?,
            username: row.text()?,
            email: row.text()?,
            created_at: row.time()?,
        })
    }
}

impl FromRow for Url {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        Ok(Self {
            id: row.int()?,
            user_id: row.nullable_int()?,
            short_code: row.text()?,
            original_url: row.text()?,
            title: row.nullable_text()?,
            is_active: row.flag()?,
            created_at: row.time()?,
            updated_at: row.time()?,
        })
    }
}

impl FromRow for Event {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        Ok(Self {
            id: row.int()?,
            url_id: row.int()?,
            user_id: row.nullable_int()?,
            event_type: row.text()?,
            timestamp: row.time()?,
            details: RawValue::from_string(row.text()?).map_err(|_| Malformed("JSON"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use spin_sdk::pg::DbValue;

    use super::*;

    #[test]
    fn a_url_is_shown_with_its_nulls() {
        let time = DbValue::Datetime((2025, 9, 19, 22, 25, 5, 0));
        let mut row = Columns::new(vec![
            DbValue::Int64(7),
            DbValue::DbNull,
            DbValue::Str("J1O697".into()),
            DbValue::Str("https://example.com/?a=%20".into()),
            DbValue::DbNull,
            DbValue::Boolean(true),
            time.clone(),
            time,
        ]);
        let url = Url::from_row(&mut row).unwrap();
        assert_eq!(
            serde_json::to_string(&url).unwrap(),
            r#"{"id":7,"user_id":null,"short_code":"J1O697","original_url":"https://example.com/?a=%20","title":null,"is_active":true,"created_at":"2025-09-19T22:25:05","updated_at":"2025-09-19T22:25:05"}"#
        );
    }

    #[test]
    fn an_event_shows_its_details_as_recorded() {
        let mut row = Columns::new(vec![
            DbValue::Int64(1),
            DbValue::Int64(2),
            DbValue::Int64(3),
            DbValue::Str("click".into()),
            DbValue::Datetime((2025, 1, 2, 3, 4, 5, 0)),
            DbValue::Str(r#"{"b":1.0,"a":[]}"#.into()),
        ]);
        let event = Event::from_row(&mut row).unwrap();
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"id":1,"url_id":2,"user_id":3,"event_type":"click","timestamp":"2025-01-02T03:04:05","details":{"b":1.0,"a":[]}}"#
        );
    }
}
