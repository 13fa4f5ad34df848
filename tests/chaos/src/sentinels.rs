//! A replica of a Valkey, and sentinels that have it take over.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::Context as _;
use redis::Client;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::port::Port;
use crate::server::{Server, until_it_answers};
use crate::valkey::Valkey;
use crate::world::WRITTEN;

/// The name that they know the primary by.
const SERVICE: &str = "links";
/// Two of three have to agree that the primary is gone.
const COUNT: usize = 3;
/// The most that a look at one may take.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Sentinels {
    sentinels: Vec<Server>,
    /// Before it took over; afterwards the primary that was.
    pub(crate) other: Valkey,
    password: String,
    /// Keeps what they write of themselves.
    _folder: TempDir,
}

impl Sentinels {
    /// Returns when the replica has what the primary has, and the sentinels know of
    /// it and of each other.
    ///
    /// # Errors
    /// Where one of them does not do its part.
    pub(crate) async fn start(primary: &Valkey) -> anyhow::Result<Self> {
        let mut other = Valkey::start(&[WRITTEN]).await?;
        other.follow(primary).await?;
        let folder = TempDir::new()?;
        let password = primary.password()?;
        let recipe = primary.server.recipe();
        let own = |path: &std::path::Path| {
            std::os::unix::fs::chown(path, Some(recipe.owner.0), Some(recipe.owner.1))
        };
        own(folder.path())?;
        let place = primary.authority().replace(':', " ");
        let mut sentinels = Vec::new();
        for _ in 0..COUNT {
            let kept = Port::free()?;
            let port = kept.number();
            let path = folder.path().join(format!("{port}.conf"));
            let text = format!(
                "port {port}\nbind 127.0.0.1\nprotected-mode no\n\
                 sentinel monitor {SERVICE} {place} 2\n\
                 sentinel auth-pass {SERVICE} {password}\n\
                 sentinel down-after-milliseconds {SERVICE} 1000\n\
                 sentinel failover-timeout {SERVICE} 5000\n"
            );
            fs::write(&path, text)?;
            own(&path)?;
            let mut recipe = recipe.clone();
            recipe.arguments = vec![path.into(), "--sentinel".into()];
            recipe.directory = folder.path().to_owned();
            recipe.log = folder.path().join(format!("{port}.log"));
            File::create(&recipe.log)?;
            sentinels.push(Server::start(recipe, kept)?);
        }
        let it = Self {
            sentinels,
            other,
            password,
            _folder: folder,
        };
        for sentinel in &it.sentinels {
            until_it_answers("a sentinel that knows all", || async {
                it.knows_all(sentinel.number()).await.unwrap_or(false)
            })
            .await?;
        }
        Ok(it)
    }

    /// What a host is told.
    pub(crate) fn url(&self) -> String {
        let places = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.number()));
        let places = places.collect::<Vec<_>>().join(",");
        format!("redis-sentinel://:{}@{places}/0#{SERVICE}", self.password)
    }

    async fn knows_all(&self, port: u16) -> anyhow::Result<bool> {
        let state: Vec<(String, String)> = ask(port, "MASTER").await?;
        let count = |name: &str| {
            let found = state.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.parse::<usize>().ok())
        };
        Ok(count("num-slaves") == Some(1) && count("num-other-sentinels") == Some(COUNT - 1))
    }

    /// Waits until all sentinels name the replica, and it takes writes.
    ///
    /// # Errors
    /// Where that does not come.
    pub(crate) async fn taken_over(&self) -> anyhow::Result<()> {
        let wanted = self.other.authority();
        until_it_answers("the replica as primary", || async {
            for sentinel in &self.sentinels {
                let port = sentinel.number();
                let place = ask::<(String, u16)>(port, "GET-MASTER-ADDR-BY-NAME").await;
                if !place.is_ok_and(|(host, port)| format!("{host}:{port}") == wanted) {
                    return false;
                }
            }
            let role = self.other.ask::<redis::Value>(&redis::cmd("ROLE")).await;
            role.is_ok_and(|role| format!("{role:?}").contains("master"))
        })
        .await
    }

    /// # Errors
    /// Where one does not end.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        for mut sentinel in self.sentinels {
            sentinel.kill().await?;
        }
        self.other.end().await
    }
}

async fn ask<T: redis::FromRedisValue>(port: u16, what: &str) -> anyhow::Result<T> {
    let asked = async {
        let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg(what).arg(SERVICE);
        anyhow::Ok(ask.query_async(&mut connection).await?)
    };
    timeout(LOOK, asked).await.context("a sentinel's answer")?
}
