//! What all nodes count together, and what becomes of it without the Valkey.

use std::time::Duration;

use futures::future::join_all;
use redis::AsyncCommands as _;
use tokio::time::Instant;
use warmlink_tests::services::{Frozen, Wanted, shared_valkey};
use warmlink_tests::{Host, HostOptions, Manifest, eventually, run, unique};

use super::{HOURLY, counted, from};
use crate::limits::{SOON, assert_failure};

/// What a frozen Valkey may add to a request, and what a loaded machine may.
const WAIT: Duration = Duration::from_millis(50);
const MARGIN: Duration = Duration::from_millis(1500);

/// A host with one component, counted in the Valkey at `address`.
async fn counted_in(address: &str, component: &str, rate: &str) -> Host {
    let rate = format!("rate = {{ {rate}, {HOURLY} }}");
    let manifest = Manifest::several(&[(component, "http", &rate)]).with_tool(&format!(
        "trusted_proxies = [\"127.0.0.1\"]\n\
         [[valkey]]\naddress = \"{address}\"\ncommand_timeout = \"10s\""
    ));
    Host::start(HostOptions::new(manifest)).await
}

#[test]
fn all_nodes_count_together() {
    run(async {
        let valkey = shared_valkey().await.valkey_url();
        let component = unique::name("fleet");
        // However slow the machine: it is the server that is to count.
        let rate = "requests = 5, wait = \"10s\"";
        let hosts = [
            counted_in(valkey, &component, rate).await,
            counted_in(valkey, &component, rate).await,
        ];
        let path = format!("/{component}/echo");
        let client = "203.0.113.41";
        let at_once = (0..20).map(|number| {
            let api = hosts[number % 2].api();
            let path = &path;
            async move { from(&api, client, path).await.status.as_u16() }
        });
        let mut seen = join_all(at_once).await;
        seen.sort_unstable();
        assert_eq!(seen[..5], [200; 5]);
        assert_eq!(seen[5..], [429; 15]);
        from(&hosts[0].api(), "203.0.113.42", &path)
            .await
            .expect(200);
        for host in &hosts {
            for outcome in ["allowed", "limited"] {
                let here = counted(host, &component, outcome, "local").await;
                assert_eq!(here, 0.0, "{outcome}");
            }
        }
        // What is kept gives nobody away, and goes by itself.
        let client = redis::Client::open(valkey).unwrap();
        let mut server = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = server.keys("warmlink:rate:*").await.unwrap();
        assert!(keys.len() >= 2, "{keys:?}");
        for key in &keys {
            let digest = key.strip_prefix("warmlink:rate:").unwrap();
            let hexadecimal = digest.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(digest.len() == 32 && hexadecimal, "{key}");
            let left: i64 = server.pttl(key).await.unwrap();
            assert!((1..=3_600_000).contains(&left), "{key}: {left}");
            // As a clock that was centuries ahead would have left it.
            let _: () = server.set(key, 9_000_000_000_000_000_u64).await.unwrap();
        }
        let reply = from(&hosts[1].api(), "203.0.113.42", &path).await;
        assert_failure(&reply, 429, "rate_limited");
        let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!(
            (1..=720).contains(&after),
            "an empty bucket, no more: {after}"
        );
    });
}

#[test]
fn while_the_valkey_hangs_a_node_counts_by_itself() {
    run(async {
        let valkey = Wanted::default().valkey(&[]).start().await;
        let host = counted_in(valkey.valkey_url(), "it", "requests = 3").await;
        let api = host.api();
        // Each look is a client of its own.
        let fleets = async |what: &str, network: &str| {
            let before = counted(&host, "it", "allowed", "valkey").await;
            let mut number = 0_u16;
            eventually(what, SOON, || {
                number += 1;
                let [high, low] = number.to_be_bytes();
                let client = format!("{network}.{high}.{low}");
                let (api, host) = (&api, &host);
                async move {
                    from(api, &client, "/it/status/204").await.expect(204);
                    (counted(host, "it", "allowed", "valkey").await > before).then_some(())
                }
            })
            .await;
        };
        fleets("requests are counted for the fleet", "198.18").await;
        let client = "203.0.113.51";
        let before = counted(&host, "it", "allowed", "local").await;
        let frozen = Frozen::now(&valkey);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            let reply = from(&api, client, "/it/status/204").await;
            assert!(begun.elapsed() < WAIT + MARGIN, "{:?}", begun.elapsed());
            seen.push(reply.status.as_u16());
        }
        assert_eq!(seen, [204, 204, 204, 429, 429]);
        let here = counted(&host, "it", "allowed", "local").await;
        assert_eq!(here, before + 3.0);
        drop(frozen);
        fleets("requests are counted for the fleet again", "198.19").await;
        // And nothing is forgiven.
        from(&api, client, "/it/status/204").await.error(429);
    });
}
