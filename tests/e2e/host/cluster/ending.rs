//! Told to end, as kubelet tells it: with what the manifests give it of time.

use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep_until, timeout};
use warmlink_tests::daemonset::DaemonSet;
use warmlink_tests::load::Solo;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::raw::Raw;
use warmlink_tests::revisions::named;
use warmlink_tests::services::{Frozen, Wanted};
use warmlink_tests::table::until_in_flight;
use warmlink_tests::traffic::Traffic;
use warmlink_tests::{Api, Control, Database, Host, HostOptions, Manifest, eventually, rig, run};

use super::{NODE, SOON, TOKEN, succeeds};
use crate::host::plain;

/// `WARMLINK_DRAIN_DELAY` of the manifests, which are checked to write it in seconds.
fn delay(set: &DaemonSet) -> Duration {
    let text = set.text("WARMLINK_DRAIN_DELAY");
    let seconds = text.strip_suffix('s').and_then(|it| it.parse().ok());
    Duration::from_secs(seconds.unwrap_or_else(|| panic!("{text} are no seconds")))
}

/// What the application may take to drain: the default, while it says nothing else.
fn drain() -> Duration {
    let manifest: toml::Table = Manifest::application().text().parse().unwrap();
    let limits = manifest["application"]["tool"]["warmlink"].get("limits");
    assert!(limits.is_none_or(|it| it.get("drain").is_none()));
    Duration::from_secs(25)
}

/// Between a client's requests: what clients do, so that there are cores left for the rest.
const PAUSE: Duration = Duration::from_millis(5);

#[test]
fn under_load_nobody_is_refused_while_balancers_learn_of_the_end() {
    run(async {
        let set = DaemonSet::base();
        let (delay, ready) = (delay(&set), set.probe("readinessProbe"));
        // Who goes by readiness alone has to learn of it before the port is closed.
        assert!(ready.period * ready.failures < delay);
        let options = plain().env("WARMLINK_DRAIN_DELAY", set.text("WARMLINK_DRAIN_DELAY"));
        let mut host = Host::start(options).await;
        let (public, admin) = (host.public(), host.admin_api());

        // One that is there when the port closes, and for a while after that.
        let longer = delay + Duration::from_secs(1);
        let path = format!("/sleep?ms={}", longer.as_millis());
        let held = Raw::get(public, &path).await;
        until_in_flight(&host, "probe", 1).await;

        let mut traffic = Traffic::default();
        traffic.add(
            "kept connection",
            6,
            move || Api::new(public),
            async |api| {
                let reply = api.get("/status/204").await;
                anyhow::ensure!(reply.status == 204, "{}", reply.text());
                tokio::time::sleep(PAUSE).await;
                Ok(api)
            },
        );
        traffic.add(
            "new connection",
            6,
            || (),
            move |()| async move {
                let mut client = Solo::connect(public).await?;
                client.expect(204, Method::GET, "/status/204", None).await?;
                tokio::time::sleep(PAUSE).await;
                Ok(())
            },
        );

        let begun = Instant::now();
        let before = traffic.answered();
        host.interrupt();
        // kubelet asks until it has heard often enough that the host is not ready.
        let (mut failures, mut next) = (0, begun);
        while failures < ready.failures {
            next += ready.period;
            if succeeds(&admin, &ready).await {
                failures = 0;
            } else {
                failures += 1;
            }
            if failures < ready.failures {
                sleep_until(next).await;
            }
        }
        let answered = traffic.stop().await;
        assert!(answered > before, "nobody came meanwhile");

        let transfer = held.transfer().await;
        assert_eq!((transfer.status, transfer.complete), (200, true));
        assert_eq!(host.exit().await.code(), Some(0));
        let took = begun.elapsed();
        assert!(took >= delay, "{took:?}");
        assert!(took < set.grace(), "{took:?}");
        println!(
            "{} answered after SIGTERM; ended after {took:.1?}",
            answered - before
        );
    });
}

#[test]
fn with_all_it_depends_on_frozen_it_ends_in_its_time() {
    run(async {
        let set = DaemonSet::base();
        // What the grace leaves for all but the two.
        let rest = set.grace() - delay(&set) - drain();
        // The delay and the drain themselves are made short.
        let (delay, drain) = (Duration::from_millis(200), Duration::from_millis(1500));
        let database = Database::create().await;
        let proxy = Proxy::start(&database.authority()).await;
        let valkey = Wanted::default().valkey(&[]).start().await;
        let manifest =
            Manifest::application().tool_key("limits.drain", format!("{}ms", drain.as_millis()));
        let options = HostOptions::new(manifest)
            .database(&database.url_through(proxy.port()))
            .valkey(valkey.valkey_url())
            .env(
                "WARMLINK_CONTROL_URL",
                &database.control_url_through(proxy.port()),
            )
            .env("WARMLINK_ADMIN_TOKEN", TOKEN)
            .env("WARMLINK_NODE", NODE)
            .env("WARMLINK_DRAIN_DELAY", &format!("{}ms", delay.as_millis()));
        let mut host = Host::start(options).await;
        let url = rig::a_url(&host.api()).await;
        host.api().get(&rig::visit(&url)).await.expect(302);

        proxy.hold();
        let frozen = Frozen::now(&valkey);
        let waits = Raw::get(host.public(), &rig::path("urls", &url)).await;
        until_in_flight(&host, "urls", 1).await;
        let begun = Instant::now();
        host.interrupt();
        let status = host.exit().await;
        let took = begun.elapsed();
        assert_eq!(status.code(), Some(0));
        assert!(took >= delay + drain, "{took:?}: nobody was waited for");
        assert!(took < delay + drain + rest, "{took:?}");
        println!("ended {:.1?} after the drain's limit", took - delay - drain);
        drop((waits, frozen));
    });
}

#[test]
fn while_it_fetches_what_was_deployed_it_ends_in_its_time() {
    run(async {
        let set = DaemonSet::base();
        let database = Database::create().await;
        let options = |control: &str| {
            HostOptions::new(Manifest::several(&[("rev", "revision", "")]))
                .env("WARMLINK_CONTROL_URL", control)
        };
        let first = Host::start(options(database.control_url()).env("WARMLINK_NODE", "a")).await;
        let control = Control::of(&first);
        control.deploy("rev", named("second", "ok")).await;

        // The control database falls silent when it is asked for the component.
        let proxy = Proxy::start(&database.authority()).await;
        proxy.hold_answers_from(b"SELECT bytes FROM warmlink.revision");
        let cache = tempfile::tempdir().unwrap();
        let options = options(&database.control_url_through(proxy.port()))
            .env("WARMLINK_NODE", "b")
            .env(
                "WARMLINK_CACHE",
                cache.path().join("none").to_str().unwrap(),
            );
        let mut host = Host::spawn(options);
        host.admin_bound().await;
        let admin = host.admin_api();
        eventually("all is there but that", SOON, || async {
            let ready = admin.get("/readyz").await.expect(503).value();
            (ready["waiting_for"] == serde_json::json!(["start"])).then_some(())
        })
        .await;
        eventually("it is asked for", SOON, || async {
            proxy.has_sprung().then_some(())
        })
        .await;
        host.interrupt();
        // Nobody is served yet: there is nothing to drain, and no delay.
        let rest = set.grace() - delay(&set) - drain();
        let ended = timeout(rest, host.exit()).await;
        assert_eq!(ended.expect("it ends in time").code(), Some(0));
    });
}

#[test]
fn a_second_signal_does_not_wait_for_the_delay() {
    run(async {
        let mut host = Host::start(plain().env("WARMLINK_DRAIN_DELAY", "60s")).await;
        host.interrupt();
        let admin = host.admin_api();
        eventually("it drains", SOON, || async {
            (admin.get("/readyz").await.status == 503).then_some(())
        })
        .await;
        let begun = Instant::now();
        host.interrupt();
        assert_eq!(host.exit().await.code(), Some(0));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}
