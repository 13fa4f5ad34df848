//! A database that goes away, freezes, and comes back.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::proxy::Proxy;
use warmlink_tests::{Database, Host, Manifest, eventually, run};

use super::{SOON, component, pool, postgres_through, query};

struct Through {
    proxy: Proxy,
    host: Host,
    probe: Probe,
    script: serde_json::Value,
}

async fn through(limits: &str) -> Through {
    let database = Database::create().await;
    let proxy = Proxy::start(&database.authority()).await;
    let host = postgres_through(proxy.port(), &database, 4, limits).await;
    host.opened().await;
    let opening = open("c", &database.url_through(proxy.port()));
    let probe = Probe::new(host.api(), "/");
    let script = json!([opening, query("c", "SELECT 1")]);
    probe.ok(script.clone()).await;
    Through {
        proxy,
        host,
        probe,
        script,
    }
}

impl Through {
    /// How many of some requests failed; each must end in time, whichever way.
    async fn failures(&self, within: Duration) -> usize {
        let requests = (0..10).map(|_| async {
            let begun = Instant::now();
            let reply = self.probe.send(self.script.clone()).await;
            assert!(begun.elapsed() < within, "{:?}", begun.elapsed());
            let whole = reply.status == 200 && reply.text().contains("\"rows\"");
            usize::from(!whole)
        });
        join_all(requests).await.into_iter().sum()
    }

    async fn recovers(&self) {
        eventually("requests are answered again", SOON, || async {
            (self.failures(Duration::from_secs(30)).await == 0).then_some(())
        })
        .await;
        // And from then on, all of them.
        for _ in 0..5 {
            assert_eq!(self.failures(Duration::from_secs(30)).await, 0);
        }
    }
}

#[test]
fn a_database_that_restarts_is_taken_up_again() {
    run(async {
        let it = through("deadline = \"10s\"").await;
        it.proxy.cut();
        it.recovers().await;
    });
}

#[test]
fn without_its_database_a_request_fails_in_bounded_time() {
    run(async {
        let it = through("deadline = \"10s\"").await;
        it.proxy.refuse();
        eventually("the outage shows", SOON, || async {
            // The pool gives up on the server well before the deadline.
            let failed = it.failures(Duration::from_secs(6)).await;
            (failed == 10).then_some(())
        })
        .await;
        let outcomes = it.probe.run(it.script.clone()).await;
        assert!(
            outcomes[1]["err"]["ConnectionFailed"].is_string(),
            "{outcomes:?}"
        );
        // The node is no less alive, nor less ready, for it.
        it.host.admin_api().get("/livez").await.expect(200);
        it.host.admin_api().get("/readyz").await.expect(200);
        it.proxy.release();
        it.recovers().await;
    });
}

#[test]
fn a_frozen_database_costs_a_request_its_deadline_and_no_more() {
    run(async {
        let it = through("deadline = \"1s\"").await;
        it.proxy.hold();
        assert_eq!(it.failures(Duration::from_secs(4)).await, 10);
        assert_eq!(it.failures(Duration::from_secs(4)).await, 10);
        it.host.admin_api().get("/readyz").await.expect(200);
        it.proxy.release();
        it.recovers().await;
    });
}

#[test]
fn a_host_waits_for_its_database_and_says_so() {
    run(async {
        let database = Database::create().await;
        let proxy = Proxy::start(&database.authority()).await;
        proxy.refuse();
        let manifest = Manifest::one("postgres42", &component("")).with_tool(&pool(2, 2));
        let options = warmlink_tests::HostOptions::new(manifest)
            .database(&database.url_through(proxy.port()));
        let host = Host::spawn(options);
        host.admin_bound().await;
        eventually("what is waited for is named", SOON, || async {
            let ready = host.admin_api().get("/readyz").await.expect(503).value();
            let waiting = ready["waiting_for"].as_array().unwrap();
            let names =
                |waiting: &serde_json::Value| waiting.as_str().unwrap().starts_with("postgres");
            // All else is there by then.
            (!waiting.iter().any(|it| it == "components") && waiting.iter().any(names))
                .then_some(())
        })
        .await;
        host.admin_api().get("/livez").await.expect(200);
        assert!(!host.is_open());
        proxy.release();
        host.opened().await;
        host.admin_api().get("/readyz").await.expect(200);
        let opening = open("c", &database.url_through(proxy.port()));
        let probe = Probe::new(host.api(), "/");
        probe.ok(json!([opening, query("c", "SELECT 1")])).await;
    });
}
