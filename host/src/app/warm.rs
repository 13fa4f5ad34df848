//! Dependencies, made ready before the public port opens.

use crate::config::Config;
use crate::manifest::Spec;
use crate::migrate::{self, MigrateError};
use crate::pool::postgres::PostgresPool;
use crate::pool::{Pools, postgres, valkey};
use crate::readiness::Readiness;
use anyhow::Context;
use futures::future::{join_all, try_join_all};
use rand::Rng;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long a start waits for Valkey. It is a cache: without it the node
/// serves from Postgres, and takes it up when it is there.
const VALKEY_PATIENCE: Duration = Duration::from_secs(3);

/// First and longest pause between attempts to reach a server that is away.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// What a pool of this node is made with, but for its size.
pub(super) fn postgres_settings(config: &Config, spec: &Spec) -> postgres::Settings {
    let longest = spec
        .components
        .values()
        .map(|component| component.limits.deadline)
        .max()
        .unwrap_or_default();
    postgres::Settings {
        application_name: format!("warmlink/{}", config.node),
        statement_timeout: longest,
        ..postgres::Settings::default()
    }
}

/// Migrates the schema and warms every declared pool. A server that is away is
/// waited for, Valkey for a few seconds only.
///
/// # Errors
///
/// When an address is not one, or a migration fails.
pub(super) async fn dependencies(
    config: &Config,
    spec: &Spec,
    base: &Path,
    pools: &Pools,
    readiness: &Readiness,
) -> anyhow::Result<()> {
    let mut postgres_pools = Vec::new();
    for declared in &spec.postgres {
        let target = postgres::Target::parse(declared.address.expose())
            .context("application.tool.warmlink.postgres.address")?;
        let name = format!("postgres {}", target.servers()[0]);
        let settings = postgres::Settings {
            min: declared.min as usize,
            max: declared.max.try_into().context("pool size")?,
            ..postgres_settings(config, spec)
        };
        let pool = pools.declare_postgres(target, settings);
        postgres_pools.push((name, pool, declared.max.get()));
    }
    let mut valkey_pools = Vec::new();
    for declared in &spec.valkey {
        let target = valkey::Target::parse(declared.address.expose())
            .context("application.tool.warmlink.valkey.address")?;
        let name = format!("valkey {}", target.origins()[0]);
        let settings = valkey::Settings {
            connections: declared.connections.try_into().context("pool size")?,
            in_flight: declared.in_flight.try_into().context("pool size")?,
            command_timeout: declared.command_timeout,
            near: declared.near.as_ref().map(|near| valkey::NearSettings {
                prefixes: near.prefixes.clone(),
                size: near.size,
            }),
            ..valkey::Settings::default()
        };
        valkey_pools.push((name, pools.declare_valkey(target, settings)));
    }

    let postgres = postgres_pools.iter().map(|(name, pool, max)| async move {
        let _latch = readiness.latch(name.as_str());
        pool.warm().await.with_context(|| name.clone())?;
        tracing::info!(pool = %name, connections = max, "pool warm");
        check_room(config, name, pool, *max).await;
        anyhow::Ok(())
    });
    let valkey = valkey_pools.iter().map(|(name, pool)| async move {
        let _latch = readiness.latch(name.as_str());
        match pool.warm(Instant::now() + VALKEY_PATIENCE).await {
            Ok(()) => tracing::info!(pool = %name, "pool warm"),
            Err(error) => tracing::warn!(pool = %name, "serving without it: {error}"),
        }
    });
    let migrations = async {
        let Some(migrations) = &spec.migrations else {
            return Ok(());
        };
        let _latch = readiness.latch("migrations");
        let target = postgres::Target::parse(migrations.address.expose())
            .context("application.tool.warmlink.migrations.address")?;
        migrate(&base.join(&migrations.directory), &target).await
    };
    let valkey = async { anyhow::Ok(join_all(valkey).await) };
    tokio::try_join!(try_join_all(postgres), migrations, valkey)?;
    Ok(())
}

/// Migrates, waiting for a server that is away.
async fn migrate(folder: &Path, target: &postgres::Target) -> anyhow::Result<()> {
    let (mut pause, longest) = BACKOFF;
    let mut away = false;
    loop {
        match migrate::run(folder, target).await {
            Ok(()) => return Ok(()),
            Err(MigrateError::Connect(error)) => {
                if !away {
                    tracing::warn!("migrations wait for the database: {error}");
                    away = true;
                }
                let jitter = rand::rng().random_range(0.5..1.5);
                tokio::time::sleep(pause.mul_f64(jitter)).await;
                pause = (pause * 2).min(longest);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Warns when the fleet's pools do not fit the server: the incident that this
/// host exists to prevent.
async fn check_room(config: &Config, name: &str, pool: &PostgresPool, max: u32) {
    let patience = Instant::now() + Duration::from_secs(5);
    match pool.server_limits(patience).await {
        Ok(limits) => {
            let wanted = max.saturating_mul(config.nodes.get());
            let room = limits.max_connections.saturating_sub(limits.reserved);
            if wanted > room {
                tracing::warn!(
                    pool = %name,
                    wanted,
                    room,
                    "the fleet's pools (max times nodes) do not fit the server's max_connections"
                );
            }
        }
        Err(error) => tracing::debug!(pool = %name, "max_connections not known: {error}"),
    }
}
