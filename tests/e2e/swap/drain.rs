//! What a retired revision still has, it finishes; what never ends is ended.

use std::time::Duration;

use warmlink_tests::control::Ended;
use warmlink_tests::raw::Raw;
use warmlink_tests::revisions::named;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Control, Host, HostOptions, Manifest, eventually, run};

use super::{LIMITS, SOON, host, metric, name, until_component};

#[test]
fn a_body_that_has_begun_is_finished_by_the_revision_that_began_it() {
    run(async {
        let host = host("").await;
        let control = Control::of(&host);
        // Compiled before anybody waits for it.
        control.deploy("rev", named("new", "ok")).await;
        Ended::of(control.command("rev", "rollback", "").await).done();
        until_component(&control, "the drain's end", |it| it["draining"] == 0).await;
        let mut slow = Vec::new();
        for _ in 0..8 {
            let mut raw = Raw::get(host.public(), "/rev/slow?lines=30&gap=50").await;
            assert_eq!(raw.head().await, 200);
            slow.push(raw);
        }
        control.deploy("rev", named("new", "ok")).await;
        assert_eq!(name(&host.api()).await, "new");
        let retired = until_component(&control, "a drain", |it| it["draining"] == 1).await;
        assert_eq!(retired["from_manifest"], false);
        assert_eq!(metric(&host, "warmlink_revisions_draining", &[]).await, 1.0);
        assert_eq!(metric(&host, "warmlink_generations_live", &[]).await, 2.0);
        for raw in slow {
            let transfer = raw.transfer().await;
            assert!(transfer.complete);
            assert_eq!(transfer.body, b"original\n".repeat(30));
        }
        until_component(&control, "the drain's end", |it| it["draining"] == 0).await;
        eventually("one table, and one revision's instances", SOON, || async {
            let tables = metric(&host, "warmlink_generations_live", &[]).await;
            let scrape = host.metrics().await;
            let shown = scrape
                .samples()
                .iter()
                .filter(|it| it.name == "warmlink_revision_requests_total");
            (tables == 1.0 && shown.count() == 1).then_some(())
        })
        .await;
        assert_eq!(
            metric(&host, "warmlink_revisions_cut_total", &[]).await,
            0.0
        );
    });
}

#[test]
fn the_drain_limit_breaks_what_never_ends_and_counts_it() {
    run(async {
        let limits = format!("{LIMITS}\nbody_total = \"1h\"\nbody_idle = \"1h\"\ndrain = \"1s\"");
        let manifest = Manifest::several(&[("rev", "revision", &limits)]);
        let host = Host::start(HostOptions::new(manifest)).await;
        let control = Control::of(&host);
        let mut endless = Vec::new();
        for _ in 0..3 {
            let path = "/rev/slow?lines=1000000&gap=20";
            let mut raw = Raw::get(host.public(), path).await;
            assert_eq!(raw.head().await, 200);
            endless.push(raw);
        }
        control.deploy("rev", named("new", "ok")).await;
        for raw in endless {
            let transfer = raw.transfer().await;
            assert!(transfer.body.starts_with(b"original\n"), "something came");
            assert!(!transfer.complete, "a short success");
        }
        until_component(&control, "the drain's end", |it| it["draining"] == 0).await;
        assert_eq!(
            metric(&host, "warmlink_revisions_cut_total", &[]).await,
            1.0
        );
        assert_eq!(
            metric(&host, "warmlink_aborted_bodies_total", &[]).await,
            3.0
        );
        until_in_flight(&host, "rev", 0).await;
        assert_eq!(name(&host.api()).await, "new");
    });
}

#[test]
fn a_request_without_an_answer_is_told_when_the_drain_limit_ends_it() {
    run(async {
        let limits = format!("{LIMITS}\ndeadline = \"1m\"\ndrain = \"500ms\"");
        let manifest = Manifest::several(&[("rev", "revision", &limits)]);
        let host = Host::start(HostOptions::new(manifest)).await;
        let control = Control::of(&host);
        control.deploy("rev", named("mute", "hang")).await;
        let api = host.api();
        let waiting = tokio::spawn(async move { api.get("/rev/body").await });
        until_in_flight(&host, "rev", 1).await;
        control.deploy("rev", named("new", "ok")).await;
        let reply = waiting.await.unwrap();
        reply.error(503);
        assert_eq!(reply.value()["kind"], "not_ready");
        assert_eq!(name(&host.api()).await, "new");
    });
}

#[test]
fn a_guest_that_traps_in_its_body_breaks_it_after_a_swap_too() {
    run(async {
        let host = host("").await;
        let control = Control::of(&host);
        let mut raw = Raw::get(host.public(), "/rev/slow-then-trap?lines=20&gap=50").await;
        assert_eq!(raw.head().await, 200);
        control.deploy("rev", named("new", "ok")).await;
        let transfer = raw.transfer().await;
        assert_eq!(transfer.body, b"original\n".repeat(20));
        assert!(!transfer.complete, "a short success");
    });
}

#[test]
fn idle_instances_of_a_retired_revision_do_not_wait_for_their_time() {
    run(async {
        let manifest =
            Manifest::several(&[("rev", "revision", "warm = 8\nreuse = 100\nidle = \"1h\"")]);
        let host = Host::start(HostOptions::new(manifest)).await;
        let control = Control::of(&host);
        let instances = || metric(&host, "warmlink_instances", &[("component", "rev")]);
        // One of them has served, and is idle now.
        name(&host.api()).await;
        assert_eq!(instances().await, 8.0);
        control.deploy("rev", named("new", "ok")).await;
        eventually(
            "the new revision's instances alone",
            Duration::from_secs(3),
            || async { (instances().await == 8.0).then_some(()) },
        )
        .await;
        until_component(&control, "the drain's end", |it| it["draining"] == 0).await;
    });
}
