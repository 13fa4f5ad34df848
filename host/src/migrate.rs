//! The application's schema, brought up to date before anything is served.

use crate::error::with_causes;
use crate::pool::postgres::{self, Target};
use refinery::Runner;
use std::path::{Path, PathBuf};

/// The advisory lock that migrations are run under, so that of several hosts
/// that start together one migrates and the others wait. Any number will do,
/// as long as nobody else takes it: these are the letters `warmlink`.
const LOCK: i64 = i64::from_be_bytes(*b"warmlink");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The folder cannot be read, or holds what is no migration.
    #[error("migrations in {folder}: {reason}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// The server could not be reached.
    #[error("migrations: {0}")]
    Connect(postgres::Error),
    /// The server refused a statement.
    #[error("migrations: {}", with_causes(.0))]
    Statement(tokio_postgres::Error),
    /// A migration failed; it was rolled back.
    #[error("migrations: {}", with_causes(.0))]
    Run(refinery::Error),
}

/// Runs what `folder` holds and the database has not seen, in order.
///
/// # Errors
///
/// [`MigrateError::Connect`] while the server is away; the others will not
/// mend themselves.
pub async fn run(folder: &Path, target: &Target) -> Result<(), MigrateError> {
    let migrations =
        refinery::load_sql_migrations(folder).map_err(|error| MigrateError::Folder {
            folder: folder.to_owned(),
            reason: error.to_string(),
        })?;
    // A connection of its own: the pool's have a statement timeout, and a
    // migration may take as long as it needs.
    let mut client = postgres::connect(target, "warmlink/migrate")
        .await
        .map_err(MigrateError::Connect)?;
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await
        .map_err(MigrateError::Statement)?;
    let report = Runner::new(&migrations).run_async(&mut *client).await;
    let report = report.map_err(MigrateError::Run)?;
    for migration in report.applied_migrations() {
        tracing::info!(
            version = %migration.version(),
            name = migration.name(),
            "migration applied"
        );
    }
    // The lock goes with the connection.
    Ok(())
}
