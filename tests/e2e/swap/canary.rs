//! Canaries: their share, who gets them, and how bad ones end by themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use http::header::{COOKIE, HeaderName};
use http::{HeaderMap, Method};
use warmlink_tests::control::Ended;
use warmlink_tests::load::Solo;
use warmlink_tests::revisions::named;
use warmlink_tests::{Api, Control, Host, HostOptions, Manifest, control, eventually, run};

use super::{LIMITS, SOON, canary, host, metric, name, until_component};

/// Sends `count` requests over a few connections; how often each name, or the
/// status of what has none, was answered.
async fn count(host: &Host, count: usize, path: &'static str) -> BTreeMap<String, usize> {
    const CLIENTS: usize = 16;
    let clients = (0..CLIENTS).map(|_| async {
        let mut solo = Solo::connect(host.public()).await.unwrap();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..count / CLIENTS {
            let (status, headers, body) = solo.send(Method::GET, path, None).await.unwrap();
            let key = if status == 200 {
                control::name(&headers, &body, 1).unwrap()
            } else {
                status.as_str().to_owned()
            };
            *seen.entry(key).or_default() += 1;
        }
        seen
    });
    let mut all = BTreeMap::new();
    for seen in join_all(clients).await {
        for (key, times) in seen {
            *all.entry(key).or_insert(0) += times;
        }
    }
    all
}

#[test]
fn a_canary_gets_its_share() {
    run(async {
        let host = host("").await;
        let control = Control::of(&host);
        let done = canary(&control, "tenth", "ok", "10").await;
        assert_eq!(done["canary"], 10.0);
        let seen = count(&host, 10_000, "/rev/body").await;
        assert_eq!(seen.values().sum::<usize>(), 10_000);
        assert!((800..=1200).contains(&seen["tenth"]), "{seen:?}");
        let status = control.component("rev").await;
        let tried = &status["canary"];
        assert_eq!(tried["requests"], seen["tenth"]);
        assert_eq!(tried["baseline_requests"], seen["original"]);
        assert_eq!(tried["failures"], 0);
        let digest = &done["revision"].as_str().unwrap()[..12];
        let labels = [("component", "rev"), ("revision", digest)];
        let counted = metric(&host, "warmlink_revision_requests_total", &labels).await;
        assert_eq!(counted, seen["tenth"] as f64);
    });
}

/// A canary of 20 % that fails in one way: it ends by itself, few are hurt, and
/// the status, the log and a metric say why.
async fn rolls_back(behaviour: &'static str, hurt: &'static str, keys: &str) {
    let host = host(keys).await;
    let control = Control::of(&host);
    canary(&control, "bad", behaviour, "20").await;
    let mut failed = 0;
    for _ in 0..20 {
        let seen = count(&host, 320, "/rev/body").await;
        assert!(!seen.contains_key("bad"), "{seen:?}");
        failed += seen.get(hurt).copied().unwrap_or(0);
        let others = seen.keys().filter(|key| *key != hurt && *key != "original");
        assert_eq!(others.count(), 0, "{seen:?}");
        if !control.component("rev").await["last_verdict"].is_null() {
            break;
        }
    }
    let called_off = until_component(&control, "a verdict", |it| it["canary"].is_null()).await;
    let verdict = called_off["last_verdict"].as_str().unwrap();
    assert!(verdict.contains("it failed"), "{verdict}");
    // Six of a hundred are more than five; a few more were on their way.
    assert!(
        (6..=6 + 16).contains(&failed),
        "{failed} requests were hurt"
    );
    let labels = [("component", "rev"), ("cause", "Verdict")];
    assert_eq!(
        metric(&host, "warmlink_canary_rollbacks_total", &labels).await,
        1.0
    );
    let log = host.log().lines();
    assert!(
        log.iter().any(|line| line.contains("canary rolled back")),
        "{}",
        host.log()
    );
    let seen = count(&host, 320, "/rev/body").await;
    assert_eq!(seen, BTreeMap::from([("original".to_owned(), 320)]));
}

#[test]
fn a_canary_that_traps_rolls_back_by_itself() {
    run(rolls_back("trap", "502", ""));
}

#[test]
fn a_canary_that_answers_500_rolls_back_by_itself() {
    run(rolls_back("fail", "500", ""));
}

#[test]
fn a_canary_that_hangs_rolls_back_by_itself() {
    run(rolls_back("hang", "504", "deadline = \"300ms\""));
}

#[test]
fn a_canary_whose_clients_give_up_on_it_rolls_back_by_itself() {
    run(async {
        let host = host("deadline = \"1m\"").await;
        let control = Control::of(&host);
        canary(&control, "mute", "hang", "50").await;
        let api = host.api();
        let called_off = async {
            loop {
                // Gone long before the deadline, whichever side it is.
                let asked = api.get("/rev/body");
                let _ = tokio::time::timeout(Duration::from_millis(200), asked).await;
                if !control.component("rev").await["last_verdict"].is_null() {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), called_off)
            .await
            .unwrap();
        assert_eq!(name(&api).await, "original");
    });
}

#[test]
fn a_canary_that_hangs_takes_no_more_places_than_its_share() {
    run(async {
        let host = host("deadline = \"20s\"\nin_flight = 20").await;
        let control = Control::of(&host);
        canary(&control, "mute", "hang", "20").await;
        // Fills the canary's four places, and is not waited for.
        let stuck: Vec<_> = (0..200)
            .map(|_| {
                let api = host.api();
                tokio::spawn(async move { api.get("/rev/body").await.status })
            })
            .collect();
        eventually("the canary's places are taken", SOON, || async {
            let waiting = stuck
                .iter()
                .filter(|request| !request.is_finished())
                .count();
            (waiting == 4).then_some(())
        })
        .await;
        // Everybody else is served, at once.
        let api = host.api();
        let served = async {
            for _ in 0..100 {
                assert_eq!(name(&api).await, "original");
            }
        };
        tokio::time::timeout(Duration::from_secs(10), served)
            .await
            .unwrap();
        Ended::of(control.command("rev", "rollback", "").await).done();
        for request in stuck {
            request.abort();
        }
    });
}

#[test]
fn a_canary_no_worse_than_what_serves_is_left_alone() {
    run(async {
        let host =
            host("[component.rev.tool.warmlink.canary]\nmargin = \"40%\"\nrequests = 50").await;
        let control = Control::of(&host);
        canary(&control, "worse", "tenth", "50").await;
        let seen = count(&host, 2_000, "/rev/body").await;
        assert!(seen["500"] > 20, "{seen:?}");
        let status = control.component("rev").await;
        assert!(
            status["canary"]["failures"].as_u64().unwrap() > 20,
            "{status}"
        );
        assert!(status["last_verdict"].is_null(), "{status}");
    });
}

async fn with(api: &Api, name: HeaderName, value: &str) -> (String, HeaderMap) {
    let reply = api
        .send(
            Method::GET,
            "/rev/body",
            &[(name, value)],
            bytes::Bytes::new(),
        )
        .await
        .expect(200);
    let name = control::name(&reply.headers, &reply.body, 1).unwrap();
    (name, reply.headers)
}

#[test]
fn a_header_keeps_a_client_on_one_side() {
    run(async {
        let host = host("[component.rev.tool.warmlink.canary]\nheader = \"x-user\"").await;
        let control = Control::of(&host);
        canary(&control, "new", "ok", "50").await;
        let header = HeaderName::from_static("x-user");
        let mut sides = BTreeMap::new();
        for user in 0..40 {
            let user = format!("user {user}");
            let (side, headers) = with(&host.api(), header.clone(), &user).await;
            assert!(!headers.contains_key("set-cookie"));
            for _ in 0..5 {
                let (again, _) = with(&host.api(), header.clone(), &user).await;
                assert_eq!(again, side);
            }
            *sides.entry(side).or_insert(0) += 1;
        }
        assert!(sides.values().all(|users| *users > 5), "{sides:?}");
    });
}

#[test]
fn a_cookie_that_the_host_sets_keeps_a_client_on_one_side() {
    run(async {
        let host = host("[component.rev.tool.warmlink.canary]\ncookie = \"side\"").await;
        let control = Control::of(&host);
        let before = host.api().get("/rev/body").await;
        assert_eq!(before.header("set-cookie"), None, "there is no canary");
        canary(&control, "new", "ok", "50").await;
        let mut sides = BTreeMap::new();
        for _ in 0..40 {
            let first = host.api().get("/rev/body").await.expect(200);
            let side = control::name(&first.headers, &first.body, 1).unwrap();
            let set = first.header("set-cookie").unwrap();
            assert!(
                set.starts_with("side=") && set.contains("HttpOnly"),
                "{set}"
            );
            let cookie = set.split(';').next().unwrap();
            for _ in 0..5 {
                let (again, headers) = with(&host.api(), COOKIE, cookie).await;
                assert_eq!(again, side);
                assert!(!headers.contains_key("set-cookie"), "it has one");
            }
            *sides.entry(side).or_insert(0) += 1;
        }
        assert!(sides.values().all(|clients| *clients > 5), "{sides:?}");
    });
}

#[test]
fn a_signed_request_gets_the_revision_that_it_asks_for() {
    run(async {
        let token = "0123456789abcdef0123456789abcdef";
        let options = HostOptions::new(Manifest::several(&[("rev", "revision", LIMITS)]))
            .env("WARMLINK_ADMIN_TOKEN", token);
        let host = Host::start(options).await;
        let control = Control::at(host.admin(), Some(token));
        let reply = control
            .try_deploy("rev", named("new", "ok"), "canary=1")
            .await;
        let digest = Ended::of(reply).done()["revision"].as_str().unwrap()[..12].to_owned();
        let header = HeaderName::from_static("x-warmlink-revision");
        let signed = super::signed(&host, token, &digest).await;
        for _ in 0..20 {
            assert_eq!(with(&host.api(), header.clone(), &signed).await.0, "new");
        }
        let ask = async |value: &str| {
            let headers = [(header.clone(), value)];
            host.api()
                .send(Method::GET, "/rev/body", &headers, bytes::Bytes::new())
                .await
        };
        let forged = format!("{digest}.9999999999.{}", "0".repeat(64));
        for value in ["", &digest, &forged, &signed.replacen(&digest[..1], "g", 1)] {
            let reply = ask(value).await;
            reply.error(403);
            assert_eq!(reply.value()["kind"], "revision_forbidden", "{value}");
        }
        let gone = super::signed(&host, token, "0000000000").await;
        let reply = ask(&gone).await;
        reply.error(404);
        assert_eq!(reply.value()["kind"], "no_revision");
        let tried = control.component("rev").await;
        assert_eq!(tried["canary"]["requests"], 0, "it counts for no trial");
    });
}
