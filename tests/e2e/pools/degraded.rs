//! A start without Valkey.

use std::time::Duration;

use tokio::time::Instant;
use warmlink_tests::probe::Probe;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::services::shared_valkey;
use warmlink_tests::{Host, HostOptions, run};

use super::valkey::{get, manifest, recovers};

#[test]
fn without_valkey_the_port_opens_after_a_few_seconds_and_takes_it_up_later() {
    run(async {
        let valkey = shared_valkey().await;
        let proxy = Proxy::start(&valkey.valkey_authority()).await;
        proxy.refuse();
        let url = valkey.valkey_url_through(proxy.port());
        let begun = Instant::now();
        let host = Host::start(HostOptions::new(manifest()).valkey(&url)).await;
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(1), "it was waited for: {took:?}");
        assert!(took < Duration::from_secs(20), "not for long: {took:?}");
        host.admin_api().get("/readyz").await.expect(200);
        let probe = Probe::new(host.api(), "/");
        let begun = Instant::now();
        let outcomes = probe.run(get(url.as_str())).await;
        assert!(outcomes[1]["err"]["Other"].is_string(), "{outcomes:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        proxy.release();
        recovers(&probe, url.as_str()).await;
    });
}
