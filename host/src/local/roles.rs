//! Who may log in to the private PostgreSQL, and what each of them owns.

use tokio_postgres::Client;

/// The role that `initdb` makes.
pub(super) const SUPERUSER: &str = "postgres";
/// The application's role, and its database, which it owns.
pub(super) const APPLICATION: &str = "application";
/// The hosts' own role, for what the application's must neither read nor write.
pub(super) const CONTROL: &str = "warmlink_control";
/// The schema in the application's database that the control role owns.
const CONTROL_SCHEMA: &str = "warmlink";

/// Gives the application and the hosts a role each, with its password, and the
/// application its database, whatever is there already. `client` is the
/// superuser's, in whichever database.
pub(super) async fn prepare(
    client: &Client,
    application: &str,
    control: &str,
) -> Result<(), tokio_postgres::Error> {
    role(client, APPLICATION, application).await?;
    role(client, CONTROL, control).await?;
    let database = client
        .query_opt(
            "SELECT FROM pg_database WHERE datname = $1",
            &[&APPLICATION],
        )
        .await?;
    if database.is_none() {
        client
            .batch_execute(&format!(
                "CREATE DATABASE {APPLICATION} OWNER {APPLICATION}"
            ))
            .await?;
    }
    client
        .batch_execute(&format!(
            "GRANT CONNECT ON DATABASE {APPLICATION} TO {CONTROL}"
        ))
        .await
}

/// Gives the control role its schema, and nobody else a way into it. `client`
/// is the superuser's, in the application's database.
///
/// The application owns that database, but not what others own in it.
pub(super) async fn prepare_schema(client: &Client) -> Result<(), tokio_postgres::Error> {
    client
        .batch_execute(&format!(
            "BEGIN; \
             CREATE SCHEMA IF NOT EXISTS {CONTROL_SCHEMA}; \
             ALTER SCHEMA {CONTROL_SCHEMA} OWNER TO {CONTROL}; \
             REVOKE ALL ON SCHEMA {CONTROL_SCHEMA} FROM PUBLIC, {APPLICATION}; \
             COMMIT"
        ))
        .await
}

async fn role(client: &Client, name: &str, password: &str) -> Result<(), tokio_postgres::Error> {
    // Both values are ours, and neither has a character that SQL treats specially.
    let role = client
        .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&name])
        .await?;
    let verb = if role.is_some() { "ALTER" } else { "CREATE" };
    client
        .batch_execute(&format!("{verb} ROLE {name} LOGIN PASSWORD '{password}'"))
        .await
}
