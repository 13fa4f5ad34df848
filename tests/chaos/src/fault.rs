//! What is taken away, and how it is given back.

use std::time::Duration;

use anyhow::Context as _;
use tokio_postgres::error::SqlState;
use warmlink_tests::eventually::within;
use warmlink_tests::proxy::Lag;
use warmlink_tests::services::signal;

use crate::postgres::connect;
use crate::world::World;

/// Foreign clients take all of a server's connections within this.
const TAKEN: Duration = Duration::from_secs(20);

/// What a far server is like: 50 ms away in each direction, and one piece in twenty
/// comes only once it was sent again.
const FAR: Lag = Lag {
    delay: Duration::from_millis(50),
    lost: 0.05,
    again: Duration::from_millis(200),
};

/// A way for a dependency, or for the host itself, to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    PostgresStopped,
    PostgresKilled,
    PostgresFrozen,
    /// Foreign clients have all of its connections.
    PostgresCrowded,
    /// The primary dies, and its standby answers reads until it is promoted.
    PostgresReadOnly,
    /// The primary dies, and its standby is promoted; the host has both addresses.
    PostgresFailover,
    PostgresDiskFull,
    ValkeyStopped,
    ValkeyKilled,
    ValkeyFrozen,
    /// It comes back with nothing of what it had.
    ValkeyEmptied,
    ValkeyFull,
    /// The primary dies, and sentinels have its replica take over.
    ValkeyFailover,
    BothKilled,
    BothFrozen,
    PostgresFar,
    ValkeyFar,
    PostgresCut,
    ValkeyCut,
    /// The first of two.
    HostKilled,
}

impl Fault {
    /// # Errors
    /// Where what was to fail does not.
    pub(crate) async fn inject(self, world: &mut World) -> anyhow::Result<()> {
        match self {
            Self::PostgresStopped => world.postgres.server.stop("INT").await,
            Self::PostgresKilled | Self::PostgresFailover => world.postgres.server.kill().await,
            Self::PostgresFrozen => {
                world.postgres.server.signal_all("STOP").await;
                Ok(())
            }
            Self::PostgresCrowded => crowd(world).await,
            Self::PostgresReadOnly => {
                world.postgres.server.kill().await?;
                let standby = world.standby.as_ref().context("a standby")?.authority();
                let relay = &world.relays()?.postgres;
                relay.retarget(&standby);
                relay.cut();
                Ok(())
            }
            Self::PostgresDiskFull => world.disk.as_ref().context("a small disk")?.fill(),
            Self::ValkeyStopped => world.valkey.server.stop("TERM").await,
            Self::ValkeyKilled | Self::ValkeyEmptied | Self::ValkeyFailover => {
                world.valkey.server.kill().await
            }
            Self::ValkeyFrozen => {
                world.valkey.server.signal_all("STOP").await;
                Ok(())
            }
            Self::ValkeyFull => fill(world).await,
            Self::BothKilled => {
                world.postgres.server.kill().await?;
                world.valkey.server.kill().await
            }
            Self::BothFrozen => {
                world.postgres.server.signal_all("STOP").await;
                world.valkey.server.signal_all("STOP").await;
                Ok(())
            }
            Self::PostgresFar => {
                world.relays()?.postgres.slow(FAR);
                Ok(())
            }
            Self::ValkeyFar => {
                world.relays()?.valkey.slow(FAR);
                Ok(())
            }
            Self::PostgresCut => world.network.as_ref().context("a network")?.cut(0).await,
            Self::ValkeyCut => world.network.as_ref().context("a network")?.cut(1).await,
            Self::HostKilled => {
                signal(world.hosts[0].pid(), "KILL");
                world.hosts[0].exit().await;
                Ok(())
            }
        }
    }

    /// Returns when what failed answers again.
    ///
    /// # Errors
    /// Where it does not.
    pub(crate) async fn heal(self, world: &mut World) -> anyhow::Result<()> {
        match self {
            Self::PostgresStopped | Self::PostgresKilled => world.postgres.restart().await,
            Self::PostgresFrozen => {
                world.postgres.server.signal_all("CONT").await;
                world.postgres.answers().await
            }
            Self::PostgresCrowded => {
                world.strangers.clear();
                world.postgres.answers().await
            }
            Self::PostgresReadOnly | Self::PostgresFailover => {
                let standby = world.standby.as_mut().context("a standby")?;
                standby.promote(&world.postgres).await
            }
            Self::PostgresDiskFull => world.disk.as_ref().context("a small disk")?.free(),
            Self::ValkeyStopped | Self::ValkeyKilled => world.valkey.restart().await,
            Self::ValkeyEmptied => {
                world.valkey.forget()?;
                world.valkey.restart().await
            }
            Self::ValkeyFrozen => {
                world.valkey.server.signal_all("CONT").await;
                world.valkey.answers().await
            }
            Self::ValkeyFull => {
                world
                    .valkey
                    .ask::<()>(redis::cmd("DEL").arg(BALLAST))
                    .await?;
                world.valkey.answers().await
            }
            Self::ValkeyFailover => {
                let sentinels = world.sentinels.as_mut().context("sentinels")?;
                sentinels.taken_over().await?;
                std::mem::swap(&mut world.valkey, &mut sentinels.other);
                Ok(())
            }
            Self::BothKilled => {
                world.postgres.restart().await?;
                world.valkey.restart().await
            }
            Self::BothFrozen => {
                world.postgres.server.signal_all("CONT").await;
                world.valkey.server.signal_all("CONT").await;
                world.postgres.answers().await?;
                world.valkey.answers().await
            }
            Self::PostgresFar => {
                world.relays()?.postgres.slow(Lag::default());
                Ok(())
            }
            Self::ValkeyFar => {
                world.relays()?.valkey.slow(Lag::default());
                Ok(())
            }
            Self::PostgresCut => world.network.as_ref().context("a network")?.mend(0).await,
            Self::ValkeyCut => world.network.as_ref().context("a network")?.mend(1).await,
            Self::HostKilled => {
                let host = world.host(0).await;
                let mut place = world.places[0]
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                *place = host.api();
                drop(place);
                world.hosts[0] = host;
                Ok(())
            }
        }
    }
}

/// Takes connections until there are none, ends those of the hosts, and takes the
/// places that these leave, until no host has any.
async fn crowd(world: &mut World) -> anyhow::Result<()> {
    let url = world.postgres.admin_url()?;
    let admin = world.postgres.admin().await?;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name LIKE 'warmlink/%'";
    let deadline = tokio::time::Instant::now() + TAKEN;
    loop {
        match connect(&url).await {
            Ok(stranger) => world.strangers.push(stranger),
            Err(error) => {
                let full = error
                    .downcast_ref::<tokio_postgres::Error>()
                    .is_some_and(|it| it.code() == Some(&SqlState::TOO_MANY_CONNECTIONS));
                if !full {
                    return Err(error);
                }
                let left: i64 = admin.query_one(end, &[]).await?.try_get(0)?;
                if left == 0 {
                    world.strangers.push(admin);
                    return Ok(());
                }
            }
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the hosts keep connections"
        );
    }
}

/// The one key of somebody else's that fills a Valkey.
const BALLAST: &str = "somebody:else";

/// Appends to a key until there is no room for more, in pieces that become small.
async fn fill(world: &World) -> anyhow::Result<()> {
    let mut connection = world.valkey.connect().await?;
    let mut size = 1 << 20;
    let full = within(TAKEN, || {
        let mut connection = connection.clone();
        let piece = "x".repeat(size);
        async move {
            let append = redis::cmd("RPUSH")
                .arg(BALLAST)
                .arg(piece)
                .query_async::<i64>(&mut connection)
                .await;
            append.err()
        }
    });
    // The first that is refused, at each size.
    let refused = full.await.context("it takes all")?;
    anyhow::ensure!(refused.code() == Some("OOM"), "{refused}");
    while size > 256 {
        size /= 2;
        let piece = "x".repeat(size);
        while redis::cmd("RPUSH")
            .arg(BALLAST)
            .arg(&piece)
            .query_async::<i64>(&mut connection)
            .await
            .is_ok()
        {}
    }
    Ok(())
}
