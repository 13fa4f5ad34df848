//! A Valkey of the scenario's own.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue};
use tokio::time::timeout;
use warmlink_tests::services::{Services, Wanted};

use crate::server::{Server, remove, until_it_answers};

/// The most that a look at a server may take: one that is frozen says nothing.
const LOOK: Duration = Duration::from_secs(1);
/// Who has to have an answer can wait longer, and filling it takes a while.
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
        let server = Server::new(services.valkey_pid(), &services.valkey_authority())?;
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
    /// Where its address has none.
    pub(crate) fn password(&self) -> anyhow::Result<String> {
        let url: url::Url = self.url.parse()?;
        Ok(url.password().context("a password")?.to_owned())
    }

    /// Makes it a replica of another, and a server that the other's clients can sign
    /// on to. Returns when it has what the other has.
    ///
    /// # Errors
    /// Where one of the two does not do its part.
    pub(crate) async fn follow(&mut self, primary: &Self) -> anyhow::Result<()> {
        let password = primary.password()?;
        let mut connection = self.connect().await?;
        let authority = primary.authority();
        let (host, port) = authority.split_once(':').context("a port")?;
        for command in [
            redis::cmd("CONFIG")
                .arg("SET")
                .arg("masterauth")
                .arg(&password),
            redis::cmd("CONFIG")
                .arg("SET")
                .arg("requirepass")
                .arg(&password),
            redis::cmd("REPLICAOF").arg(host).arg(port),
        ] {
            command.exec_async(&mut connection).await?;
        }
        let mut url: url::Url = self.url.parse()?;
        let set = url.set_password(Some(&password));
        anyhow::ensure!(set.is_ok(), "an address without an account");
        self.url = url.into();
        until_it_answers("replication", || async {
            let mut ask = redis::cmd("INFO");
            let state = self.ask::<String>(ask.arg("replication")).await;
            state.is_ok_and(|state| state.contains("master_link_status:up"))
        })
        .await
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
            let pong = timeout(LOOK, self.ask::<String>(&redis::cmd("PING"))).await;
            pong.is_ok_and(|it| it.is_ok())
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
        timeout(PATIENCE, asked).await.context("Valkey's answer")?
    }

    /// A connection whose commands may take their time.
    ///
    /// # Errors
    /// Where it refuses.
    pub(crate) async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = Client::open(self.url.as_str())?;
        let connected = client.get_multiplexed_async_connection_with_config(&config);
        Ok(connected.await?)
    }

    /// Entries of a stream.
    ///
    /// # Errors
    /// Where it refuses, or says nothing.
    pub(crate) async fn entries(&self, key: &str) -> anyhow::Result<u64> {
        self.ask(redis::cmd("XLEN").arg(key)).await
    }

    /// Connections of hosts, by what these say of themselves.
    ///
    /// # Errors
    /// Where it refuses, or says nothing.
    pub(crate) async fn connections(&self) -> anyhow::Result<i64> {
        let mut connection = self.connect().await?;
        let mut list = redis::cmd("CLIENT");
        let list: String = list.arg("LIST").query_async(&mut connection).await?;
        let of_host = |line: &&str| line.contains(" lib-name=warmlink ");
        Ok(i64::try_from(list.lines().filter(of_host).count())?)
    }

    /// Removes what it would read when it starts.
    ///
    /// # Errors
    /// Where that is not allowed.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        forget(&self.server.recipe().directory)
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it does not end.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.server.kill().await?;
        remove(self.services.stop().await).await
    }
}

fn forget(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(&path)?;
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
