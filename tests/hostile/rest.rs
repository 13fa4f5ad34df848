//! What a host has while nobody asks: it has to come back to that.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use warmlink_tests::Host;
use warmlink_tests::metrics::Scrape;
use warmlink_tests::table::until_in_flight;

use super::rows::Row;

/// A host is at rest well within this.
const SOON: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A host's state before anything hostile was asked, and the database's view.
pub(super) struct Rest {
    observer: Client,
    descriptors: f64,
}

impl Rest {
    pub(super) async fn of(host: &Host, observer: Client) -> Self {
        let scrape = host.metrics().await;
        let descriptors = value(&scrape, "process_open_fds", &[]);
        Self {
            observer,
            descriptors,
        }
    }

    /// Waits until nothing is left of the row's requests, though neighbours are
    /// asked meanwhile.
    pub(super) async fn restored(&self, host: &Host, row: &Row) {
        until_in_flight(host, row.name, 0).await;
        let of_row = [("component", row.name)];
        until_none(row, || async {
            let scrape = host.metrics().await;
            let instances = value(&scrape, "warmlink_instances", &of_row);
            [
                ("in flight", value(&scrape, "warmlink_in_flight", &of_row)),
                (
                    "instances beyond the warm",
                    (instances - row.warm()).max(0.0),
                ),
                (
                    "pinned",
                    value(&scrape, "warmlink_postgres_pool_pinned", &[]),
                ),
            ]
        })
        .await;
    }

    /// How many more bytes there are than `before`: the allocator gives back what is
    /// free, by and by, so that is waited for while it is more than `most`.
    pub(super) async fn given_back(&self, host: &Host, before: u64, most: u64) -> u64 {
        let deadline = Instant::now() + SOON;
        loop {
            let grown = host.resident_bytes().saturating_sub(before);
            if grown <= most || Instant::now() >= deadline {
                return grown;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until nothing is left at all, with nobody asking any more.
    pub(super) async fn complete(&self, host: &Host, row: &Row) {
        until_none(row, || async {
            let scrape = host.metrics().await;
            let pool = |name: &str| value(&scrape, &format!("warmlink_postgres_pool_{name}"), &[]);
            let descriptors = value(&scrape, "process_open_fds", &[]);
            [
                ("connections", value(&scrape, "warmlink_connections", &[])),
                ("in use", pool("in_use")),
                ("pinned", pool("pinned")),
                ("waiting", pool("waiting")),
                ("missing of the pool", 8.0 - pool("size")),
                (
                    "more descriptors",
                    (descriptors - self.descriptors).max(0.0),
                ),
                ("sessions at work", self.busy().await),
            ]
        })
        .await;
    }

    /// Sessions of the host's that the server has work or a transaction of.
    async fn busy(&self) -> f64 {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name LIKE 'warmlink/%' \
                   AND state <> 'idle'";
        let row = self.observer.query_one(sql, &[]).await.unwrap();
        row.get::<_, i64>(0) as f64
    }
}

/// Of a component that was not asked yet, there is nothing to read.
fn value(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    let found = scrape.sum(name, labels);
    assert!(found.is_some() || !labels.is_empty(), "no {name}");
    found.unwrap_or_default()
}

/// Waits until all of these are 0, and says which were not.
async fn until_none<const N: usize, F>(row: &Row, mut look: impl FnMut() -> F)
where
    F: Future<Output = [(&'static str, f64); N]>,
{
    let mut left = Vec::new();
    let deadline = Instant::now() + SOON;
    loop {
        left.clear();
        left.extend(look().await.into_iter().filter(|(_, count)| *count != 0.0));
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left by {}: {left:?}", row.name);
        tokio::time::sleep(PAUSE).await;
    }
}
