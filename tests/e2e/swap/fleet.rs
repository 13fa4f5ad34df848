//! Several nodes with one control database: all of them run the same.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::Instant;
use warmlink_tests::control::Ended;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::raw::Raw;
use warmlink_tests::revisions::named;
use warmlink_tests::services::{Wanted, signal};
use warmlink_tests::{Control, Database, Host, HostOptions, Manifest, eventually, process, run};

use super::{LIMITS, name};

/// Whatever happens, nodes have found together by then: a dead connection is
/// noticed in five seconds, and looked for again every three at most.
const CONVERGED: Duration = Duration::from_secs(20);

fn options(node: &str, control_url: &str, keys: &str) -> HostOptions {
    let limits = format!("{LIMITS}\n{keys}");
    HostOptions::new(Manifest::several(&[("rev", "revision", &limits)]))
        .env("WARMLINK_NODE", node)
        .env("WARMLINK_CONTROL_URL", control_url)
        .env("WARMLINK_CORES", "1")
}

async fn fleet(control_url: &str) -> Vec<Host> {
    let nodes = ["a", "b", "c"];
    let starts = nodes.map(|node| Host::start(options(node, control_url, "")));
    join_all(starts).await
}

async fn names(hosts: &[Host]) -> Vec<String> {
    let apis: Vec<_> = hosts.iter().map(Host::api).collect();
    join_all(apis.iter().map(name)).await
}

async fn until_all_answer(hosts: &[Host], wanted: &str) {
    eventually(&format!("all nodes answer {wanted}"), CONVERGED, || async {
        let names = names(hosts).await;
        names.iter().all(|name| name == wanted).then_some(())
    })
    .await;
}

/// Waits until every node is in touch with the control database.
async fn until_all_reach(hosts: &[Host]) {
    eventually("the database is found again", CONVERGED, || async {
        for host in hosts {
            let status = Control::of(host).status().await;
            if status["control"]["reachable"] != true {
                return None;
            }
        }
        Some(())
    })
    .await;
}

async fn deploy(host: &Host, name: &str, query: &str) -> Value {
    let reply = Control::of(host)
        .try_deploy("rev", named(name, "ok"), query)
        .await;
    Ended::of(reply).done()
}

#[test]
fn what_is_deployed_on_one_node_is_live_on_all_within_two_seconds() {
    run(async {
        let database = Database::create().await;
        let hosts = fleet(database.control_url()).await;
        // One machine stands for three here, beside other tests: what is measured
        // is how nodes agree, and not how it compiles.
        for number in 0..3 {
            deploy(&hosts[0], &format!("n{number}"), "wait=true").await;
        }
        Ended::of(
            Control::of(&hosts[0])
                .command("rev", "rollback", "wait=true")
                .await,
        )
        .done();
        Ended::of(
            Control::of(&hosts[0])
                .command("rev", "rollback", "wait=true")
                .await,
        )
        .done();
        Ended::of(
            Control::of(&hosts[0])
                .command("rev", "rollback", "wait=true")
                .await,
        )
        .done();
        for (number, host) in hosts.iter().enumerate() {
            let wanted = format!("n{number}");
            let began = Instant::now();
            let done = deploy(host, &wanted, "wait=true").await;
            let names = names(&hosts).await;
            let took = began.elapsed();
            assert_eq!(names, [&*wanted, &*wanted, &*wanted]);
            println!("live on three nodes after {took:?}");
            assert!(took < Duration::from_secs(2), "{took:?}");
            assert_eq!(
                done["nodes"],
                serde_json::json!({ "a": true, "b": true, "c": true })
            );
        }
        let status = Control::of(&hosts[0]).status().await;
        assert_eq!(status["control"]["shared"], true, "{status}");
        assert_eq!(status["control"]["reachable"], true, "{status}");
        for node in ["a", "b", "c"] {
            let seen = &status["nodes"][node];
            assert_eq!(seen["live"], true, "{status}");
            assert_eq!(seen["revisions"]["rev"], status["components"][0]["active"]);
        }
        // A command to any node is about all of them.
        Ended::of(
            Control::of(&hosts[1])
                .command("rev", "rollback", "wait=true")
                .await,
        )
        .done();
        assert_eq!(names(&hosts).await, ["n1", "n1", "n1"]);
    });
}

#[test]
fn a_node_that_starts_later_runs_what_was_deployed_before_it_opens() {
    run(async {
        let database = Database::create().await;
        let first = Host::start(options("a", database.control_url(), "")).await;
        let done = deploy(&first, "new", "").await;
        assert_eq!(
            done["nodes"],
            serde_json::json!({ "a": true }),
            "its own word counts"
        );
        let second = Host::start(options("b", database.control_url(), "")).await;
        assert_eq!(
            name(&second.api()).await,
            "new",
            "from its first response on"
        );
    });
}

#[test]
fn a_node_that_was_stopped_in_its_tracks_finds_its_way_back() {
    run(async {
        let database = Database::create().await;
        let hosts = fleet(database.control_url()).await;
        signal(hosts[2].pid(), "STOP");
        let began = Instant::now();
        deploy(&hosts[0], "new", "").await;
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(10),
            "gone after five seconds, not {took:?}"
        );
        // Whoever gave the command is told once its own node has switched.
        until_all_answer(&hosts[..2], "new").await;
        signal(hosts[2].pid(), "CONT");
        until_all_answer(&hosts, "new").await;
    });
}

#[test]
fn a_node_that_drains_is_not_waited_for() {
    run(async {
        let database = Database::create().await;
        let mut hosts = fleet(database.control_url()).await;
        let mut slow = Raw::get(hosts[2].public(), "/rev/slow?lines=100&gap=50").await;
        assert_eq!(slow.head().await, 200);
        hosts[2].interrupt();
        eventually("the node has signed off", CONVERGED, || async {
            let status = Control::of(&hosts[0]).status().await;
            status["nodes"]["c"].is_null().then_some(())
        })
        .await;
        let began = Instant::now();
        let done = deploy(&hosts[0], "new", "wait=true").await;
        let took = began.elapsed();
        assert_eq!(done["nodes"], serde_json::json!({ "a": true, "b": true }));
        assert!(
            took < Duration::from_secs(4),
            "not the five seconds of one that vanished: {took:?}"
        );
        let transfer = slow.transfer().await;
        assert!(transfer.complete, "and it finishes what it has");
        assert!(hosts[2].exit().await.success());
    });
}

#[test]
fn the_control_database_may_restart_in_the_middle() {
    run(async {
        let services = Wanted::default().postgres(&[]).start().await;
        let database = Database::create_on(&services).await;
        // It comes back on another port, and nodes know but one.
        let proxy = Proxy::start(&database.authority()).await;
        let hosts = fleet(&database.control_url_through(proxy.port())).await;
        deploy(&hosts[0], "one", "wait=true").await;
        let state = services.stop().await;
        eventually("the database is missed", CONVERGED, || async {
            let status = Control::of(&hosts[1]).status().await;
            (status["control"]["reachable"] == false).then_some(())
        })
        .await;
        // Nodes serve on, and say that they cannot be told.
        assert_eq!(names(&hosts).await, ["one", "one", "one"]);
        let control = Control::of(&hosts[1]);
        let reply = control.try_deploy("rev", named("two", "ok"), "").await;
        reply.error(503);
        assert_eq!(reply.value()["kind"], "unavailable");
        let services = Wanted::default().postgres(&[]).start_in(state).await;
        let again = services.database_url().parse::<url::Url>().unwrap();
        proxy.retarget(&format!("127.0.0.1:{}", again.port().unwrap()));
        until_all_reach(&hosts).await;
        deploy(&hosts[1], "two", "wait=true").await;
        assert_eq!(names(&hosts).await, ["two", "two", "two"]);
    });
}

#[test]
fn a_deploy_that_a_restart_interrupts_ends_the_same_everywhere() {
    run(async {
        let database = Database::create().await;
        let proxy = Proxy::start(&database.authority()).await;
        let hosts = fleet(&database.control_url_through(proxy.port())).await;
        for round in 0..4 {
            let wanted = format!("r{round}");
            let control = Control::of(&hosts[0]);
            let bytes = named(&wanted, "ok");
            let deploying =
                tokio::spawn(async move { control.try_deploy("rev", bytes, "wait=true").await });
            // At another point of the rollout each time.
            tokio::time::sleep(Duration::from_millis(60 * round)).await;
            proxy.cut();
            // It may have been interrupted before it was proposed, or after.
            deploying.await.unwrap();
            let serving = eventually("all nodes agree", CONVERGED, || async {
                let names = names(&hosts).await;
                let agree = names.iter().all(|name| *name == names[0]);
                let status = Control::of(&hosts[0]).status().await;
                let settled = status["rollout"].is_null() && status["control"]["reachable"] == true;
                (agree && settled).then(|| names[0].clone())
            })
            .await;
            let reported = Control::of(&hosts[1]).status().await;
            println!("round {round}: {serving} serves; {}", reported["control"]);
        }
        until_all_reach(&hosts).await;
        deploy(&hosts[2], "last", "wait=true").await;
        assert_eq!(names(&hosts).await, ["last", "last", "last"]);
    });
}

#[test]
fn two_who_deploy_at_once_end_in_one_order() {
    run(async {
        let database = Database::create().await;
        let hosts = fleet(database.control_url()).await;
        for round in 0..3 {
            let (one, two) = (format!("x{round}"), format!("y{round}"));
            let (_, _) = tokio::join!(
                deploy(&hosts[0], &one, "wait=true"),
                deploy(&hosts[1], &two, "wait=true"),
            );
            let last = name(&hosts[0].api()).await;
            assert!(last == one || last == two, "{last}");
            until_all_answer(&hosts, &last).await;
            let rows = Control::of(&hosts[2]).revisions("rev").await;
            let states: Vec<_> = rows
                .iter()
                .map(|row| row["state"].as_str().unwrap())
                .collect();
            assert_eq!(states.iter().filter(|it| **it == "active").count(), 1);
        }
    });
}

#[test]
fn when_one_node_refuses_nobody_has_served_the_new_code() {
    run(async {
        let database = Database::create().await;
        let url = database.control_url();
        let nodes = ["a", "b"].map(|node| Host::start(options(node, url, "")));
        let mut hosts = join_all(nodes).await;
        // It has too few descriptors left to start a compiler, and nothing compiled.
        let refusing = options("c", url, "").env("WARMLINK_CACHE", "cache-of-its-own");
        let refusing = Host::start(refusing).await;
        let few = refusing.open_files() as u64 + FOR_CLIENTS;
        let (_, at_most) = process::descriptor_limits(refusing.pid());
        assert!(process::limit_descriptors(refusing.pid(), few, at_most));
        hosts.push(refusing);

        let reply = Control::of(&hosts[0])
            .try_deploy("rev", named("new", "ok"), "")
            .await;
        let failed = Ended::of(reply).failed();
        assert_eq!(failed["kind"], "refused", "{failed}");
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains("nobody switched: c: compile"), "{error}");
        assert_eq!(names(&hosts).await, ["original", "original", "original"]);
        for host in &hosts {
            let scrape = host.metrics().await;
            assert_eq!(
                scrape.sum("warmlink_generation", &[]),
                Some(1.0),
                "no table was published"
            );
        }

        // By force it goes ahead with those that could.
        let done = deploy(&hosts[0], "new", "force=true&wait=true").await;
        assert_eq!(done["nodes"], serde_json::json!({ "a": true, "b": true }));
        assert_eq!(names(&hosts).await, ["new", "new", "original"]);
        eventually("the third node says why", CONVERGED, || async {
            let status = Control::of(&hosts[1]).status().await;
            status["nodes"]["c"]["error"].as_str().map(str::to_owned)
        })
        .await;
    });
}

#[test]
fn another_manifest_sets_what_was_deployed_aside() {
    run(async {
        let database = Database::create().await;
        let url = database.control_url();
        let mut old = Host::start(options("a", url, "")).await;
        let done = deploy(&old, "new", "").await;
        assert!(old.terminate().await.success());
        let other = Host::start(options("a", url, "deadline = \"7s\"")).await;
        assert_eq!(name(&other.api()).await, "original");
        let status = Control::of(&other).status().await;
        let aside = status["set_aside"].as_array().unwrap();
        assert_eq!(aside.len(), 1, "{status}");
        assert_eq!(aside[0]["component"], "rev");
        assert_eq!(aside[0]["revision"], done["revision"]);
        assert_ne!(aside[0]["manifest"], status["manifest"]);
    });
}

#[test]
fn a_verdict_on_a_canary_is_every_nodes() {
    run(async {
        let database = Database::create().await;
        let hosts = fleet(database.control_url()).await;
        let reply = Control::of(&hosts[0])
            .try_deploy("rev", named("bad", "fail"), "canary=50&wait=true")
            .await;
        Ended::of(reply).done();
        // One node alone has traffic, and judges for all.
        for _ in 0..60 {
            hosts[1].api().get("/rev/body").await;
        }
        for host in &hosts {
            let control = Control::of(host);
            super::until_component(&control, "the verdict", |it| {
                let verdict = it["last_verdict"].as_str().unwrap_or_default();
                it["canary"].is_null() && verdict.contains("on b")
            })
            .await;
        }
        let cause = |host: &Host| {
            let metrics = host.admin();
            async move { warmlink_tests::metrics::scrape(metrics).await }
        };
        let counted = cause(&hosts[2]).await;
        let labels = [("component", "rev"), ("cause", "Fleet")];
        assert_eq!(
            counted.sum("warmlink_canary_rollbacks_total", &labels),
            Some(1.0)
        );
    });
}

#[test]
fn state_that_another_token_signed_is_not_run() {
    run(async {
        let database = Database::create().await;
        let url = database.control_url();
        let (ours, theirs) = ("0123456789abcdef-ours", "0123456789abcdef-theirs");
        let first = options("a", url, "").env("WARMLINK_ADMIN_TOKEN", ours);
        let first = Host::start(first).await;
        let second = options("b", url, "").env("WARMLINK_ADMIN_TOKEN", theirs);
        let control = Control::at(first.admin(), Some(ours));
        control.deploy("rev", named("new", "ok")).await;
        let second = Host::start(second).await;
        assert_eq!(name(&second.api()).await, "original");
        let status = Control::at(second.admin(), Some(theirs)).status().await;
        let error = status["control"]["error"].as_str().unwrap();
        assert!(error.contains("not signed"), "{error}");
        let reply = Control::at(second.admin(), Some(theirs))
            .try_deploy("rev", named("more", "ok"), "")
            .await;
        reply.error_naming(409, "not signed");
    });
}

/// Fewer than the six that a child with three pipes takes while it is started.
const FOR_CLIENTS: u64 = 4;
