//! A database of a test's own.

use tokio_postgres::{Client, Config, NoTls};
use url::Url;

use crate::services::{self, Services};
use crate::{address, unique};

/// An empty database; it goes with its server.
pub struct Database {
    url: String,
    control_url: String,
}

impl Database {
    /// One on the run's shared server.
    pub async fn create() -> Self {
        Self::create_on(services::shared_postgres().await).await
    }

    /// One on a server of the test's own.
    ///
    /// # Panics
    /// Where the server refuses.
    pub async fn create_on(services: &Services) -> Self {
        let name = unique::name("test");
        // The application's role owns it, and may make none itself.
        let owner = role_of(services.database_url());
        let admin = connect(services.database_admin_url()).await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name} OWNER {owner}"))
            .await
            .expect("a database can be created");
        let control = role_of(services.control_url());
        let inside = connect(&named(services.database_admin_url(), &name)).await;
        inside
            .batch_execute(&format!(
                "CREATE SCHEMA warmlink AUTHORIZATION {control}; \
                 REVOKE ALL ON SCHEMA warmlink FROM PUBLIC"
            ))
            .await
            .expect("a schema can be created");
        Self {
            url: named(services.database_url(), &name),
            control_url: named(services.control_url(), &name),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same database as the hosts' own role, which owns the schema
    /// `warmlink` in it.
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The server's address, as `host:port`.
    ///
    /// # Panics
    /// Never: the address was parsed before.
    pub fn authority(&self) -> String {
        address::authority(&self.url)
    }

    /// The same database through another port of this machine.
    pub fn url_through(&self, port: u16) -> String {
        address::through(&self.url, port)
    }

    /// The same as the hosts' own role.
    pub fn control_url_through(&self, port: u16) -> String {
        address::through(&self.control_url, port)
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }
}

/// The role that an address logs in as.
fn role_of(url: &str) -> String {
    let url: Url = url.parse().expect("an address is announced");
    url.username().to_owned()
}

/// The same address with another database.
fn named(url: &str, database: &str) -> String {
    let mut url: Url = url.parse().expect("an address is announced");
    url.set_path(database);
    url.into()
}

/// A connection that shows as `observer`, so that it is not mistaken for one
/// of a host's.
///
/// # Panics
/// Where the server does not answer.
pub async fn connect(url: &str) -> Client {
    let mut config: Config = url.parse().expect("a PostgreSQL address");
    config.application_name("observer");
    let (client, connection) = config.connect(NoTls).await.expect("the server answers");
    tokio::spawn(async move {
        // Ends with the client, or with the server; the client's next call
        // says which.
        let _ = connection.await;
    });
    client
}
