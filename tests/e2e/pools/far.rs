//! A database that is far away.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::proxy::{Lag, Proxy};
use warmlink_tests::{Database, run};

use super::{postgres_through, query};

/// Connections to it.
const POOL: u32 = 4;
/// Who ask at once. They share connections: each waits for one way there and back.
const CROWD: usize = 16;
/// In each direction. A statement takes more than half of what makes it a slow one.
const AWAY: Duration = Duration::from_millis(30);
/// A moment in which it takes more.
const BAD: Duration = Duration::from_millis(60);

#[test]
fn a_bad_moment_of_a_server_that_is_far_away_does_not_stick() {
    run(async {
        let database = Database::create().await;
        let proxy = Proxy::start(&database.authority()).await;
        let host = postgres_through(proxy.port(), &database, POOL, "").await;
        host.opened().await;
        let probe = Probe::new(host.api(), "/");
        let url = database.url_through(proxy.port());
        let script = json!([open("c", &url), query("c", "SELECT 1 AS one")]);
        let lag = |delay| {
            proxy.slow(Lag {
                delay,
                ..Lag::default()
            });
        };
        let crowd = || async {
            let begun = Instant::now();
            join_all((0..CROWD).map(|_| probe.ok(script.clone()))).await;
            begun.elapsed()
        };
        lag(AWAY);
        // Prepares the statement on each connection.
        crowd().await;
        let before = crowd().await;
        lag(BAD);
        for _ in 0..3 {
            probe.ok(script.clone()).await;
        }
        lag(AWAY);
        // The first may be late still: what comes back is there after that.
        crowd().await;
        let after = crowd().await;
        assert!(after < before * 2, "{after:?}, not {before:?}");
    });
}
