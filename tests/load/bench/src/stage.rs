//! All servers of a run, up and idle but for the one that is measured.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use redis::aio::MultiplexedConnection;
use toml::Table;
use warmlink_tests::services::{Services, Wanted};
use warmlink_tests::{Host, HostOptions, Manifest, eventually};

use crate::process::Server;
use crate::work::{CLICK, HEAD, HELLO, READ, Side, Work};
use crate::{fill, process};

/// As servers are run where data matters. What the tests turn off is on.
pub(crate) const DURABLE: [(&str, &str); 3] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
];

/// The hello component's settings: those of the application's own components.
const HELLO_LIMITS: &str = "spin_headers = false\nreuse = 4096\nconcurrency = 16\nwarm = 8\n";

/// Where the native server records clicks: apart from the application's stream.
const NATIVE_STREAM: &str = "bench:clicks";

/// What a stream may take to be worked off.
const SETTLE_LIMIT: std::time::Duration = std::time::Duration::from_secs(120);

/// The servers, and ways to look at them.
pub(crate) struct Stage {
    services: Services,
    host: Host,
    natives: Vec<(&'static str, Server)>,
    wasmtime: Server,
    valkey: MultiplexedConnection,
    /// The streams that components are fed from.
    streams: Vec<String>,
    /// Visits made while it was set up.
    visits: u64,
}

impl Stage {
    /// Starts everything, the tables and the cache filled.
    ///
    /// # Errors
    /// Where a server does not come up.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        say("starting PostgreSQL and Valkey");
        let services = Wanted::default()
            .postgres(&DURABLE)
            .valkey(&[])
            .start()
            .await;
        say("starting warmlink");
        let manifest = Manifest::application().with_guest("hello", "hello", HELLO_LIMITS);
        let streams = streams(&manifest.text())?;
        let options = HostOptions::new(manifest)
            .database(services.database_url())
            .valkey(services.valkey_url());
        let host = Host::start(options).await;
        say("filling the tables");
        fill::tables(services.database_admin_url()).await?;
        let mut valkey = redis::Client::open(services.valkey_url())?
            .get_multiplexed_async_connection()
            .await?;
        let visits = fill::cache(&host.api(), &mut valkey).await?;
        say("starting the native servers and wasmtime");
        let environment = [
            ("DATABASE_URL", services.database_url()),
            ("VALKEY_URL", services.valkey_url()),
        ];
        let commands: [(&Work, &[&str]); 4] = [
            (&HELLO, &["hello"]),
            (&HEAD, &["lookup"]),
            (&CLICK, &["append", "--stream", NATIVE_STREAM]),
            (&READ, &["row"]),
        ];
        let mut natives = Vec::new();
        for (work, arguments) in commands {
            let server = Server::start("bench-ceiling", arguments, &environment).await?;
            natives.push((work.name, server));
        }
        let hello = warmlink_tests::paths::guest("hello");
        let hello = hello.to_str().context("a path that is text")?;
        let wasmtime = Server::start("bench-peer", &[hello], &[]).await?;
        Ok(Self {
            services,
            host,
            natives,
            wasmtime,
            valkey,
            streams,
            visits,
        })
    }

    /// Ends all of it, and waits for the host and the servers of data.
    pub(crate) async fn stop(mut self) {
        // Those that would complain of the loss of their database go first.
        for (_, native) in self.natives {
            native.stop().await;
        }
        self.wasmtime.stop().await;
        self.host.terminate().await;
        drop(self.services.stop().await);
    }

    /// Who does a work on a side, by process and address.
    ///
    /// # Errors
    /// Where nobody does.
    pub(crate) fn server(&self, work: &Work, side: Side) -> anyhow::Result<(u32, SocketAddr)> {
        let server = match side {
            Side::Warmlink => return Ok((self.host.pid(), self.host.public())),
            Side::Wasmtime => &self.wasmtime,
            Side::Native => {
                let found = self.natives.iter().find(|(name, _)| *name == work.name);
                &found
                    .with_context(|| format!("nobody natively does {}", work.name))?
                    .1
            }
        };
        Ok((server.pid(), server.address()))
    }

    /// Waits until what a run has left behind is worked off.
    ///
    /// # Errors
    /// Where Valkey is gone.
    ///
    /// # Panics
    /// Where it takes too long.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let mut valkey = self.valkey.clone();
        // Nobody reads the native server's stream.
        let _: i64 = redis::cmd("UNLINK")
            .arg(NATIVE_STREAM)
            .query_async(&mut valkey)
            .await?;
        for stream in &self.streams {
            let what = format!("the stream `{stream}` is worked off");
            eventually(&what, SETTLE_LIMIT, || async {
                let mut valkey = self.valkey.clone();
                let length = redis::cmd("XLEN")
                    .arg(stream)
                    .query_async::<u64>(&mut valkey)
                    .await;
                match length {
                    Ok(0) => Some(Ok(())),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Makes sure that visits were recorded, each of them.
    ///
    /// # Errors
    /// Where some are missing.
    pub(crate) async fn check_visits(&self, answered: u64) -> anyhow::Result<()> {
        let recorded = fill::visits(self.services.database_admin_url()).await?;
        let answered = answered + self.visits;
        ensure!(
            recorded >= answered,
            "of {answered} visits that were answered only {recorded} are recorded"
        );
        say(&format!("{answered} visits answered, {recorded} recorded"));
        Ok(())
    }

    /// The host's memory, in bytes.
    ///
    /// # Errors
    /// Where it has ended.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        process::resident_bytes(self.host.pid())
    }

    /// The versions of the servers that both sides use.
    ///
    /// # Errors
    /// Where one does not answer.
    pub(crate) async fn versions(&self) -> anyhow::Result<String> {
        let postgres = fill::version(self.services.database_admin_url()).await?;
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut self.valkey.clone())
            .await?;
        let valkey = ["valkey_version:", "redis_version:"]
            .iter()
            .find_map(|key| info.lines().find_map(|line| line.strip_prefix(key)));
        let valkey = valkey.context("a version of Valkey")?;
        Ok(format!("PostgreSQL {postgres}, Valkey {valkey}"))
    }
}

/// The streams that a manifest's components are fed from.
fn streams(manifest: &str) -> anyhow::Result<Vec<String>> {
    let manifest: Table = manifest.parse()?;
    let components = manifest.get("component").and_then(|it| it.as_table());
    let keys = components.into_iter().flatten().filter_map(|(_, it)| {
        let stream = it.get("tool")?.get("warmlink")?.get("stream")?;
        Some(stream.get("key")?.as_str()?.to_owned())
    });
    Ok(keys.collect())
}

/// Tells the one who waits.
pub(crate) fn say(what: &str) {
    eprintln!("bench   {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_those_of_the_manifest() {
        let manifest = "[component.a]\nsource = \"a\"\n\
                        [component.b.tool.warmlink.stream]\nkey = \"clicks\"\nbatch = 500\n";
        assert_eq!(streams(manifest).unwrap(), ["clicks"]);
        assert!(streams("").unwrap().is_empty());
    }
}
