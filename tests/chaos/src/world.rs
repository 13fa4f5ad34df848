//! What a scenario takes place in: servers of its own, and hosts on them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio_postgres::Client;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::{Host, HostOptions, Manifest, address};

use crate::form::HASTE;
use crate::load::Places;
use crate::network::Network;
use crate::overload;
use crate::postgres::Postgres;
use crate::sentinels::Sentinels;
use crate::small::SmallDisk;
use crate::standby::Standby;
use crate::valkey::Valkey;

/// What there is beyond one host, one PostgreSQL and one Valkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Plain,
    /// Components whose deadline comes soon.
    Hasty,
    TwoHosts,
    /// A PostgreSQL with few connections, and a Valkey that may not grow.
    Small,
    /// A hot standby, which the host comes to by the same relay.
    Standby,
    /// The same, and the host knows the addresses of both.
    Pair,
    /// A Valkey with a replica, and sentinels whose addresses the host has.
    Sentinels,
    /// The tables on a disk of their own, a small one.
    SmallDisk,
    /// Relays between the host and the servers.
    Relays,
    /// The same, and few places for `urls`.
    FewPlaces,
    /// The same in another network, each relay by a wire of its own.
    Network,
}

impl Stage {
    /// Whether servers follow others in it, which takes them a while to agree on.
    #[cfg(test)]
    pub(crate) fn has_followers(self) -> bool {
        matches!(self, Self::Standby | Self::Pair | Self::Sentinels)
    }
}

/// What is answered outlives the server's process: the tests' own setting is quicker
/// and forgets what it confirmed a moment before it was killed.
const DURABLE: (&str, &str) = ("synchronous_commit", "on");
/// The same of Valkey. It writes before it answers, but while the disk is at the last
/// second's `fsync` it answers first, for up to two seconds. Nobody cuts the power here,
/// so none is needed.
pub(crate) const WRITTEN: (&str, &str) = ("appendfsync", "no");

/// The servers, the hosts, and what a fault leaves for its end.
pub(crate) struct World {
    stage: Stage,
    // First: a host complains of the loss of what it depends on.
    pub(crate) hosts: Vec<Host>,
    pub(crate) places: Places,
    pub(crate) postgres: Postgres,
    pub(crate) valkey: Valkey,
    pub(crate) standby: Option<Standby>,
    pub(crate) sentinels: Option<Sentinels>,
    pub(crate) disk: Option<SmallDisk>,
    pub(crate) relays: Option<Relays>,
    pub(crate) network: Option<Network>,
    /// Connections of somebody else's.
    pub(crate) strangers: Vec<Client>,
}

pub(crate) struct Relays {
    pub(crate) postgres: Proxy,
    pub(crate) valkey: Proxy,
}

impl World {
    /// # Errors
    /// Where something does not come up.
    pub(crate) async fn start(stage: Stage) -> anyhow::Result<Self> {
        let mut settings = vec![DURABLE];
        if stage == Stage::Small {
            settings.push(("max_connections", "30"));
        }
        let mut limits = vec![WRITTEN];
        if stage == Stage::Small {
            limits.extend([("maxmemory", "24mb"), ("maxmemory-policy", "noeviction")]);
        }
        let (postgres, valkey) =
            tokio::try_join!(Postgres::start(&settings), Valkey::start(&limits))?;
        let network = match stage {
            Stage::Network => Some(Network::lay().await?),
            _ => None,
        };
        let relays = match (stage, &network) {
            (_, Some(network)) => Some(Relays {
                postgres: Proxy::start_at(network.near(0), &postgres.database.authority()).await,
                valkey: Proxy::start_at(network.near(1), &valkey.authority()).await,
            }),
            (Stage::Relays | Stage::FewPlaces | Stage::Standby, None) => Some(Relays {
                postgres: Proxy::start(&postgres.database.authority()).await,
                valkey: Proxy::start(&valkey.authority()).await,
            }),
            _ => None,
        };
        let standby = match stage {
            Stage::Standby | Stage::Pair => Some(Standby::start(&postgres).await?),
            _ => None,
        };
        let sentinels = match stage {
            Stage::Sentinels => Some(Sentinels::start(&valkey).await?),
            _ => None,
        };
        let mut world = Self {
            stage,
            hosts: Vec::new(),
            places: Vec::new(),
            postgres,
            valkey,
            standby,
            sentinels,
            disk: None,
            relays,
            network,
            strangers: Vec::new(),
        };
        let count = if stage == Stage::TwoHosts { 2 } else { 1 };
        for number in 0..count {
            let host = world.host(number).await;
            world.places.push(Arc::new(Mutex::new(host.api())));
            world.hosts.push(host);
        }
        if stage == Stage::SmallDisk {
            // The host has made its tables.
            world.disk = Some(SmallDisk::under(&world.postgres).await?);
        }
        Ok(world)
    }

    /// Starts a host of this number.
    pub(crate) async fn host(&self, number: usize) -> Host {
        let database = self.postgres.database.url();
        let (database, valkey) = match &self.relays {
            None => {
                let pair = self.standby.as_ref().map(|it| it.beside(database));
                let watched = self.sentinels.as_ref().map(Sentinels::url);
                (
                    pair.unwrap_or_else(|| database.to_owned()),
                    watched.unwrap_or_else(|| self.valkey.url().to_owned()),
                )
            }
            Some(relays) => (
                address::at(database, relays.postgres.address()),
                address::at(self.valkey.url(), relays.valkey.address()),
            ),
        };
        // What a host that is gone was given is taken over soon, as far as that
        // matters to a run of half a minute.
        let mut manifest =
            Manifest::application().component_key("clicks", "stream.claim_after", "2s");
        if self.stage == Stage::FewPlaces {
            manifest = manifest.component_key("urls", "in_flight", i64::from(overload::READS));
        }
        if self.stage == Stage::Hasty {
            let deadline = format!("{}ms", HASTE.as_millis());
            for id in ["urls", "redirect", "clicks"] {
                manifest = manifest.component_key(id, "deadline", deadline.as_str());
            }
        }
        let mut options = HostOptions::new(manifest)
            .database(&database)
            .valkey(&valkey)
            .env("WARMLINK_NODE", &format!("chaos{number}"));
        if let Some(network) = &self.network {
            let listen = format!("{}:0", network.far(2));
            options = options
                .within(network.name())
                .env("WARMLINK_LISTEN", &listen)
                .env("WARMLINK_ADMIN_LISTEN", &listen);
        }
        Host::start(options).await
    }

    /// Where the database is now, for those who look at it.
    pub(crate) fn database_url(&self) -> String {
        match &self.standby {
            Some(standby) if standby.is_promoted() => standby.url(&self.postgres),
            _ => self.postgres.database.url().to_owned(),
        }
    }

    /// Ends the connections that a load has left idle.
    pub(crate) fn forget_clients(&mut self) {
        for (place, host) in self.places.iter().zip(&self.hosts) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = host.api();
        }
    }

    pub(crate) fn relays(&self) -> anyhow::Result<&Relays> {
        self.relays.as_ref().context("this stage has relays")
    }

    /// Ends all of it, and waits for that.
    ///
    /// # Errors
    /// Where a server does not end.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        for host in &mut self.hosts {
            host.terminate().await;
        }
        drop(self.strangers);
        if let Some(standby) = self.standby {
            standby.end().await?;
        }
        if let Some(sentinels) = self.sentinels {
            sentinels.end().await?;
        }
        self.postgres.end().await?;
        self.valkey.end().await?;
        // Nobody's any more.
        if let Some(disk) = self.disk {
            disk.remove().await?;
        }
        if let Some(network) = self.network {
            network.remove().await?;
        }
        Ok(())
    }
}

/// Runs a program of the system's, and says what it said if it fails.
///
/// # Errors
/// Where it does.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .output()
        .await
        .with_context(|| format!("running {program}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Whether this is root, who alone may mount and lay wires.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(PathBuf::from("/proc/self")).is_ok_and(|own| own.uid() == 0)
}
