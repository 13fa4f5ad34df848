//! A Valkey that freezes, and one that goes away.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::proxy::Proxy;
use warmlink_tests::services::{Frozen, Wanted, shared_valkey};
use warmlink_tests::{Host, HostOptions, Manifest, eventually, run};

use super::SOON;

const COMMAND_TIMEOUT: Duration = Duration::from_millis(250);
/// What a loaded machine may add to it.
const MARGIN: Duration = Duration::from_millis(1500);

pub(super) fn manifest() -> Manifest {
    Manifest::one(
        "redis3",
        "allowed_outbound_hosts = [\"{{ valkey_origin }}\"]\n\
         [component.probe.tool.warmlink]\nreuse = 1000\nconcurrency = 16\n\
         [variables]\n\
         valkey_url = { required = true, secret = true }\n\
         valkey_origin = { required = true }",
    )
    .with_tool(
        "[[valkey]]\naddress = \"{{ valkey_url }}\"\nconnections = 2\ncommand_timeout = \"250ms\"",
    )
}

pub(super) fn get(address: &str) -> Value {
    json!([open("c", address), { "get": { "on": "c", "key": "some key" } }])
}

/// Sends many requests at once; each must be over in time. How many failed?
async fn failures(probe: &Probe, address: &str) -> usize {
    let requests = (0..40).map(|_| async {
        let begun = Instant::now();
        let outcomes = probe.run(get(address)).await;
        assert!(
            begun.elapsed() < COMMAND_TIMEOUT + MARGIN,
            "{:?}",
            begun.elapsed()
        );
        usize::from(outcomes[1].get("err").is_some())
    });
    join_all(requests).await.into_iter().sum()
}

pub(super) async fn recovers(probe: &Probe, address: &str) {
    eventually("commands are answered again", SOON, || async {
        (failures(probe, address).await == 0).then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_eq!(failures(probe, address).await, 0);
    }
}

#[test]
fn a_frozen_valkey_costs_a_command_its_timeout_and_no_more() {
    run(async {
        let valkey = Wanted::default().valkey(&[]).start().await;
        let options = HostOptions::new(manifest()).valkey(valkey.valkey_url());
        let host = Host::start(options).await;
        let probe = Probe::new(host.api(), "/");
        assert_eq!(failures(&probe, valkey.valkey_url()).await, 0);
        let frozen = Frozen::now(&valkey);
        for _ in 0..3 {
            assert_eq!(failures(&probe, valkey.valkey_url()).await, 40);
        }
        host.admin_api().get("/livez").await.expect(200);
        host.admin_api().get("/readyz").await.expect(200);
        drop(frozen);
        recovers(&probe, valkey.valkey_url()).await;
    });
}

#[test]
fn a_valkey_that_is_cut_off_fails_at_once_and_is_taken_up_again() {
    run(async {
        let valkey = shared_valkey().await;
        let proxy = Proxy::start(&valkey.valkey_authority()).await;
        let address = valkey.valkey_url_through(proxy.port());
        let host = Host::start(HostOptions::new(manifest()).valkey(&address)).await;
        let probe = Probe::new(host.api(), "/");
        assert_eq!(failures(&probe, &address).await, 0);
        proxy.refuse();
        eventually("the outage shows", SOON, || async {
            (failures(&probe, &address).await == 40).then_some(())
        })
        .await;
        host.admin_api().get("/readyz").await.expect(200);
        proxy.release();
        recovers(&probe, &address).await;
        // A cut alone is mended in passing.
        proxy.cut();
        recovers(&probe, &address).await;
    });
}

#[test]
fn many_commands_share_few_connections() {
    run(async {
        let valkey = shared_valkey().await;
        let proxy = Proxy::start(&valkey.valkey_authority()).await;
        let address = valkey.valkey_url_through(proxy.port());
        let host = Host::start(HostOptions::new(manifest()).valkey(&address)).await;
        let probe = Probe::new(host.api(), "/");
        for _ in 0..5 {
            assert_eq!(failures(&probe, &address).await, 0);
        }
        // Two hundred handles, opened and dropped.
        assert_eq!(proxy.accepted(), 2);
    });
}
