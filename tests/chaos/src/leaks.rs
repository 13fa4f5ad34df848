//! What a host holds when nobody asks anything of it.

use std::time::Duration;

use warmlink_tests::Host;
use warmlink_tests::eventually::within;

use crate::postgres::connections;
use crate::world::World;

/// Whatever the requests of a load held is given back within this: a session that
/// was left behind is settled, or its connection closed.
const SETTLED: Duration = Duration::from_secs(12);

/// Descriptors that may come and go: a pool that had not all its connections.
const FILES: usize = 8;
/// Instances that hundreds of requests at once have made stay for a minute.
const MEMORY: u64 = 96 << 20;
/// Of one host, as its manifest says.
const POSTGRES_MAX: i64 = 8;
/// Of one host: the two that its manifest declares, one that hears of changes, and
/// two of the stream's.
const VALKEY_MAX: i64 = 5;

/// What is nobody's at rest.
pub(crate) const GAUGES: &[&str] = &[
    "warmlink_in_flight",
    "warmlink_connections",
    "warmlink_postgres_pool_in_use",
    "warmlink_postgres_pool_pinned",
    "warmlink_postgres_pool_waiting",
];
/// The same of a host that has no pools.
pub(crate) const OWN_GAUGES: &[&str] = &["warmlink_in_flight", "warmlink_connections"];

/// A host at rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    gauges: &'static [&'static str],
    files: usize,
    memory: u64,
}

impl Rest {
    pub(crate) async fn of(host: &Host, gauges: &'static [&'static str]) -> Self {
        settled(host, gauges).await;
        Self {
            gauges,
            files: host.open_files(),
            memory: host.resident_bytes(),
        }
    }
}

/// What a host holds beyond what it held before.
pub(crate) async fn left_by(host: &Host, before: &Rest) -> Vec<String> {
    let mut left = settled(host, before.gauges).await;
    let few = before.files + FILES;
    let files = within(SETTLED, || async {
        (host.open_files() <= few).then_some(())
    });
    if files.await.is_none() {
        left.push(format!(
            "{} descriptors, not {}",
            host.open_files(),
            before.files
        ));
    }
    let grown = host.resident_bytes().saturating_sub(before.memory);
    if grown > MEMORY {
        left.push(format!("{} MiB more memory", grown >> 20));
    }
    left
}

/// What the hosts, and the servers for them, hold beyond what they held before.
///
/// # Errors
/// Where a server does not tell.
pub(crate) async fn left_behind(world: &World, before: &[Rest]) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for (host, before) in world.hosts.iter().zip(before) {
        left.extend(left_by(host, before).await);
    }
    let most = POSTGRES_MAX * i64::try_from(world.hosts.len())?;
    let open = connections(&world.database_url()).await?;
    if open > most {
        left.push(format!("{open} connections to PostgreSQL, not {most}"));
    }
    let most = VALKEY_MAX * i64::try_from(world.hosts.len())?;
    let fewer = within(SETTLED, || async {
        (world.valkey.connections().await.ok()? <= most).then_some(())
    });
    if fewer.await.is_none() {
        let open = world.valkey.connections().await?;
        left.push(format!("{open} connections to Valkey, not {most}"));
    }
    Ok(left)
}

/// Waits until nothing is under way; what still is.
async fn settled(host: &Host, gauges: &[&str]) -> Vec<String> {
    let held = || async {
        let scrape = host.metrics().await;
        let gauges = gauges.iter().map(|name| (name, scrape.sum(name, &[])));
        // A gauge that is not there is one that was renamed.
        let held = gauges.filter(|(_, sum)| *sum != Some(0.0));
        held.map(|(name, sum)| format!("{name} is {sum:?}"))
            .collect::<Vec<_>>()
    };
    let none = within(SETTLED, || async { held().await.is_empty().then_some(()) });
    match none.await {
        Some(()) => Vec::new(),
        None => held().await,
    }
}
