//! A Valkey of the scenario's own.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue};
use tokio::time::timeout;
use warmlink_tests::services::{Services, Wanted};

use crate::server::{Server, until_it_answers};

/// The most that a look at a server may take: one that is frozen says nothing.
const LOOK: Duration = Duration::from_secs(1);
/// A long load, such as filling it, has more.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Valkey {
    pub(crate) server: Server,
    url: String,
    /// Keeps its data.
    services: Services,
}

impl Valkey {
    /// An empty one.
    ///
    /// # Errors
    /// Where the process cannot be looked at.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let services = Wanted::default().valkey(settings).start().await;
        let server = Server::new(services.valkey_pid())?;
        // Its own name for itself has taken the place of its arguments. It was
        // started with its configuration's path, which lies beside its data.
        let folder = server.recipe().directory.parent().context("a folder")?;
        let arguments = vec![folder.join("valkey.conf").into()];
        Ok(Self {
            server: server.with_arguments(arguments),
            url: services.valkey_url().to_owned(),
            services,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn authority(&self) -> String {
        self.services.valkey_authority()
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
        until_it_answers("Valkey", || async {
            self.ask::<String>(&redis::cmd("PING")).await.is_ok()
        })
        .await
    }

    /// # Errors
    /// Where it refuses, or says nothing.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> anyhow::Result<T> {
        let asked = async {
            let mut connection = self.connect().await?;
            anyhow::Ok(command.query_async(&mut connection).await?)
        };
        timeout(LOOK, asked).await?
    }

    /// A connection whose commands may take their time.
    ///
    /// # Errors
    /// Where it refuses.
    pub(crate) async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let client = Client::open(self.url.as_str())?;
        let connected = client.get_multiplexed_async_connection_with_config(&config);
        Ok(timeout(LOOK, connected).await??)
    }

    /// Entries of a stream.
    ///
    /// # Errors
    /// Where it refuses, or says nothing.
    pub(crate) async fn entries(&self, key: &str) -> anyhow::Result<u64> {
        self.ask(redis::cmd("XLEN").arg(key)).await
    }

    /// Connections of hosts: all but the one that asks.
    ///
    /// # Errors
    /// Where it refuses, or says nothing.
    pub(crate) async fn connections(&self) -> anyhow::Result<i64> {
        let mut connection = self.connect().await?;
        let mut list = redis::cmd("CLIENT");
        let list: String = list.arg("LIST").query_async(&mut connection).await?;
        Ok(i64::try_from(list.lines().count())? - 1)
    }

    /// Removes what it would read when it starts.
    ///
    /// # Errors
    /// Where that is not allowed.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        remove(&self.server.recipe().directory)
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it does not end.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.server.kill().await?;
        drop(self.services.stop().await);
        Ok(())
    }
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove(&path)?;
        } else if path
            .extension()
            .is_some_and(|it| it == "rdb" || it == "aof")
        {
            std::fs::remove_file(path)?;
        }
    }
    // The list of the files that are gone.
    let manifest = folder.join("appendonly.aof.manifest");
    if manifest.exists() {
        std::fs::remove_file(manifest)?;
    }
    Ok(())
}
