//! A database of a test's own.

use tokio_postgres::{Client, Config, NoTls};
use url::Url;

use crate::services::{self, Services};
use crate::unique;

/// An empty database; it goes with its server.
pub struct Database {
    url: String,
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
        let mut url: Url = services
            .database_url()
            .parse()
            .expect("an address is announced");
        // The application's role owns it, and may make none itself.
        let admin = connect(services.database_admin_url()).await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name} OWNER {}", url.username()))
            .await
            .expect("a database can be created");
        url.set_path(&name);
        Self { url: url.into() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's address, as `host:port`.
    ///
    /// # Panics
    /// Never: the address was parsed before.
    pub fn authority(&self) -> String {
        let url: Url = self.url.parse().expect("parsed before");
        let host = url.host_str().expect("a TCP address");
        format!("{host}:{}", url.port().unwrap_or(5432))
    }

    /// The same database through another port of this machine.
    ///
    /// # Panics
    /// Never: the address was parsed before.
    pub fn url_through(&self, port: u16) -> String {
        let mut url: Url = self.url.parse().expect("parsed before");
        url.set_host(Some("127.0.0.1")).expect("a host can be set");
        url.set_port(Some(port)).expect("a port can be set");
        url.into()
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await
    }
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
