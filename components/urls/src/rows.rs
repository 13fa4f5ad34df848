//! What the urls' statements answer.

use shared::{
    model::{FromRow, Url},
    row::{Columns, Malformed},
    time::Timestamp,
};

/// Of [`shared::sql::CREATE_URL`].
pub(crate) enum Made {
    Url { id: i64, created_at: Timestamp },
    UnknownOwner,
    CodeTaken,
}

impl FromRow for Made {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        let owner_known = row.flag()?;
        match row.nullable_int()? {
            Some(id) => Ok(Self::Url {
                id,
                created_at: row.time()?,
            }),
            None if owner_known => Ok(Self::CodeTaken),
            None => Ok(Self::UnknownOwner),
        }
    }
}

/// Of [`shared::sql::CHANGE_URL`].
pub(crate) struct Changed {
    pub(crate) url: Url,
    /// None if nothing differed.
    pub(crate) version: Option<i64>,
}

impl FromRow for Changed {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        Ok(Self {
            url: Url::from_row(row)?,
            version: row.nullable_int()?,
        })
    }
}

/// Of [`shared::sql::DELETE_URL`].
pub(crate) struct Gone {
    pub(crate) short_code: String,
    pub(crate) version: i64,
}

impl FromRow for Gone {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        Ok(Self {
            short_code: row.text()?,
            version: row.int()?,
        })
    }
}
