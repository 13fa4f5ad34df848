//! A PostgreSQL of the scenario's own.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};
use warmlink_tests::Database;
use warmlink_tests::services::{Services, Wanted};

use crate::server::{Server, remove, until_it_answers};

/// The most that a look at a server may take: one that is frozen says nothing.
const LOOK: Duration = Duration::from_secs(1);
/// Who has to have an answer can wait longer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    pub(crate) server: Server,
    pub(crate) database: Database,
    admin_url: String,
    /// Keeps its data.
    services: Services,
}

impl Postgres {
    /// With an empty database.
    ///
    /// # Errors
    /// Where the process cannot be looked at.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let services = Wanted::default().postgres(settings).start().await;
        let database = Database::create_on(&services).await;
        Ok(Self {
            server: Server::new(services.postgres_pid(), &database.authority())?,
            database,
            admin_url: services.database_admin_url().to_owned(),
            services,
        })
    }

    /// The superuser's address of the application's database.
    pub(crate) fn admin_url(&self) -> anyhow::Result<String> {
        let (_, name) = self.database.url().rsplit_once('/').context("a database")?;
        let (server, _) = self.admin_url.rsplit_once('/').context("a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// A connection as the superuser, to the application's database.
    ///
    /// # Errors
    /// Where the server refuses, or says nothing.
    pub(crate) async fn admin(&self) -> anyhow::Result<Client> {
        connect(&self.admin_url()?).await
    }

    /// # Errors
    /// Where it does not come up.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.server.restart()?;
        self.answers().await
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) async fn answers(&self) -> anyhow::Result<()> {
        let url = self.database.url();
        until_it_answers("PostgreSQL", || answers(url)).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it does not end.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        // What was frozen heeds nothing else.
        self.server.kill().await?;
        remove(self.services.stop().await).await
    }
}

/// Whether a server answers just now.
pub(crate) async fn answers(url: &str) -> bool {
    timeout(LOOK, connect(url)).await.is_ok_and(|it| it.is_ok())
}

/// A connection that a server has answered over.
///
/// # Errors
/// Where it refuses, or says nothing.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Client> {
    let mut config: Config = url.parse()?;
    config.application_name("observer");
    let connect = async {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            // Its client's next call says that it has ended.
            let _ = connection.await;
        });
        client.execute("SELECT 1", &[]).await?;
        anyhow::Ok(client)
    };
    timeout(PATIENCE, connect)
        .await
        .context("PostgreSQL's answer")?
}

/// Connections of hosts to a database.
///
/// # Errors
/// Where the server does not tell.
pub(crate) async fn connections(url: &str) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'warmlink/%' \
               AND datname = current_database()";
    Ok(connect(url).await?.query_one(sql, &[]).await?.try_get(0)?)
}
