//! The tables, brought up to date when a store is opened.

use super::connection::{Connection, LIMIT, no_answer};
use super::error::{Error, from_setup};
use refinery::{Migration, Runner};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// In order; what was released once is not changed. Nodes of the last version
/// go on beside those of the next, so each must leave what they use in place.
const MIGRATIONS: [(&str, &str); 1] = [("V1__fleet", include_str!("sql/V1__fleet.sql"))];

/// Which of them a database has seen.
const HISTORY: &str = "warmlink.schema_history";

/// One node at a time. Any number will do, as long as nobody else takes it:
/// these are the letters `wl-fleet`.
const LOCK: i64 = i64::from_be_bytes(*b"wl-fleet");

/// Whether the schema exists, and whether we may use and fill it.
const LOOK: &str = "SELECT pg_catalog.to_regnamespace('warmlink') IS NOT NULL, \
     COALESCE(pg_catalog.has_schema_privilege(\
         pg_catalog.to_regnamespace('warmlink')::pg_catalog.oid, 'USAGE'), false) \
     AND COALESCE(pg_catalog.has_schema_privilege(\
         pg_catalog.to_regnamespace('warmlink')::pg_catalog.oid, 'CREATE'), false)";

/// Creates what is missing of the schema and its tables.
pub(super) async fn set_up(connection: &mut Connection) -> Result<(), Error> {
    let done = match timeout(LIMIT, run(connection.exclusive())).await {
        Ok(done) => done,
        Err(_) => Err(no_answer(LIMIT)),
    };
    done.map_err(|error| connection.end(error))
}

async fn run(client: &mut Client) -> Result<(), Error> {
    let failed = |error: tokio_postgres::Error| from_setup(&error);
    client
        .execute("SELECT pg_catalog.pg_advisory_lock($1)", &[&LOCK])
        .await
        .map_err(failed)?;
    schema(client).await?;
    let mut runner = Runner::new(&migrations()?).set_abort_missing(false);
    runner.set_migration_table_name(HISTORY);
    let report = runner
        .run_async(client)
        .await
        .map_err(|error| from_setup(&error))?;
    for migration in report.applied_migrations() {
        tracing::info!(
            version = %migration.version(),
            name = migration.name(),
            "migration of the control database applied"
        );
    }
    client
        .execute("SELECT pg_catalog.pg_advisory_unlock($1)", &[&LOCK])
        .await
        .map_err(failed)?;
    Ok(())
}

async fn schema(client: &Client) -> Result<(), Error> {
    let row = client
        .query_one(LOOK, &[])
        .await
        .map_err(|error| from_setup(&error))?;
    match (row.get(0), row.get(1)) {
        (true, true) => Ok(()),
        (true, false) => Err(Error::Schema(
            "its role may not use and create in the schema `warmlink`; make it the schema's owner"
                .to_owned(),
        )),
        (false, _) => match client.batch_execute("CREATE SCHEMA warmlink").await {
            Ok(()) => Ok(()),
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Err(Error::Schema(
                    "the schema `warmlink` is missing, and its role may not create it; \
                     create it with that role as its owner"
                        .to_owned(),
                ))
            }
            Err(error) => Err(from_setup(&error)),
        },
    }
}

fn migrations() -> Result<Vec<Migration>, Error> {
    MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<_, _>>()
        .map_err(|error| from_setup(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one() {
        let migrations = migrations().unwrap();
        let numbers = migrations
            .iter()
            .map(|migration| migration.version() as usize);
        assert!(numbers.eq(1..=MIGRATIONS.len()));
    }
}
