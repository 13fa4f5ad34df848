//! PostgreSQL, by a handle that all requests of an instance use, or one of a
//! transaction's own.

use std::sync::OnceLock;

use spin_sdk::pg::{Connection, DbError, DbValue, Error, ParameterValue, PgError, QueryError};

use crate::{Refusal, config::Config, model::FromRow, row::Columns};

/// Rows taken from the host at a time.
const BATCH: usize = 128;

/// A handle on the database. Opening one costs nothing on a host with pools.
pub struct Database(Connection);

/// Why a statement did not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It would have broken this unique or primary key.
    Unique(String),
    /// It refers to a row that is not there any more.
    Reference,
    /// The database cannot be reached, or has no room now. May be tried again.
    Unavailable,
    /// A fault of the service's own.
    Fault,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable => Self::unavailable("the database"),
            // Where a key or a reference can break, its caller says what that means.
            Failure::Unique(_) | Failure::Reference => Self::conflict("it changed meanwhile"),
            Failure::Fault => Self::fault(),
        }
    }
}

impl Database {
    /// The instance's handle, for single statements: those of several requests may
    /// run at the same time.
    pub async fn shared(config: &Config) -> Result<&'static Self, Failure> {
        static DATABASE: OnceLock<Database> = OnceLock::new();
        if let Some(database) = DATABASE.get() {
            return Ok(database);
        }
        let opened = Self::open(config).await?;
        Ok(DATABASE.get_or_init(|| opened))
    }

    /// Opens a handle, for a transaction.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        match Connection::open(config.database_url.as_str()).await {
            Ok(connection) => Ok(Self(connection)),
            Err(error) => Err(classify(error)),
        }
    }

    /// Runs a statement and takes its rows apart.
    pub async fn rows<T: FromRow>(
        &self,
        statement: &'static str,
        parameters: Vec<ParameterValue>,
    ) -> Result<Vec<T>, Failure> {
        let mut result = self
            .0
            .query(statement, parameters)
            .await
            .map_err(classify)?;
        let mut rows = Vec::new();
        loop {
            let (_, batch) = result.rows().read(Vec::with_capacity(BATCH)).await;
            if batch.is_empty() {
                break;
            }
            for row in batch {
                rows.push(decode(row)?);
            }
        }
        // Only now it is certain that the statement came to its end.
        result.result().await.map_err(classify)?;
        Ok(rows)
    }

    /// Runs a statement that gives one row, or none.
    pub async fn row<T: FromRow>(
        &self,
        statement: &'static str,
        parameters: Vec<ParameterValue>,
    ) -> Result<Option<T>, Failure> {
        Ok(self.rows(statement, parameters).await?.pop())
    }

    /// Runs a statement for its effect; how many rows it made, changed or found.
    pub async fn execute(
        &self,
        statement: &'static str,
        parameters: Vec<ParameterValue>,
    ) -> Result<u64, Failure> {
        self.0
            .execute(statement, parameters)
            .await
            .map_err(classify)
    }
}

fn decode<T: FromRow>(row: Vec<DbValue>) -> Result<T, Failure> {
    T::from_row(&mut Columns::new(row)).map_err(|malformed| {
        eprintln!("{malformed}");
        Failure::Fault
    })
}

/// Sorts an error, and logs what its client is not told.
fn classify(error: Error) -> Failure {
    let failure = match &error {
        Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => by_state(error),
        // No answer of the server's: the way to it failed, or the time was over.
        Error::PgError(
            PgError::ConnectionFailed(_)
            | PgError::QueryFailed(QueryError::Text(_))
            | PgError::Other(_),
        ) => Failure::Unavailable,
        Error::PgError(PgError::BadParameter(_) | PgError::ValueConversionFailed(_))
        | Error::Decode(_) => Failure::Fault,
    };
    match failure {
        Failure::Unique(_) | Failure::Reference => {}
        Failure::Unavailable | Failure::Fault => eprintln!("the database: {error:?}"),
    }
    failure
}

fn by_state(error: &DbError) -> Failure {
    match error.code.as_str() {
        "23505" => Failure::Unique(constraint(error)),
        "23503" => Failure::Reference,
        // Only reads are taken: a standby that is to be the server next.
        "25006" => Failure::Unavailable,
        // Connection, resources, deadlock and serialization, cancelled or shut
        // down, lock not available: states that pass.
        code if ["08", "40", "53", "55", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Failure::Unavailable
        }
        _ => Failure::Fault,
    }
}

/// The key's name: a field of its own where the host passes it on, else what the
/// message quotes.
fn constraint(error: &DbError) -> String {
    let named = error.extras.iter().find(|(name, _)| name == "constraint");
    match named {
        Some((_, name)) => name.clone(),
        None => error
            .message
            .split('"')
            .nth(1)
            .unwrap_or_default()
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, extras: &[(&str, &str)]) -> Error {
        Error::PgError(PgError::QueryFailed(QueryError::DbError(DbError {
            as_text: String::new(),
            severity: "ERROR".into(),
            code: code.into(),
            message: "duplicate key value violates unique constraint \"codes_pkey\"".into(),
            detail: None,
            extras: extras
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
        })))
    }

    #[test]
    fn a_broken_key_is_named() {
        let named = error(
            "23505",
            &[("table", "codes"), ("constraint", "email_claims_pkey")],
        );
        assert_eq!(classify(named), Failure::Unique("email_claims_pkey".into()));
        assert_eq!(
            classify(error("23505", &[])),
            Failure::Unique("codes_pkey".into())
        );
        assert_eq!(classify(error("23503", &[])), Failure::Reference);
    }

    #[test]
    fn what_passes_is_unavailable_and_the_rest_a_fault() {
        for code in [
            "08006", "25006", "40P01", "53300", "55P03", "57014", "57P01",
        ] {
            assert_eq!(classify(error(code, &[])), Failure::Unavailable, "{code}");
        }
        for code in ["25001", "42601", "22003", "23502"] {
            assert_eq!(classify(error(code, &[])), Failure::Fault, "{code}");
        }
        let cut = Error::PgError(PgError::ConnectionFailed("refused".into()));
        assert_eq!(Refusal::from(classify(cut)).status, 503);
    }
}
