//! What goes wrong between a click and its event.

use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::json;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::rig::{self, Application};
use warmlink_tests::services::{Wanted, signal};
use warmlink_tests::{
    Control, Database, Host, HostOptions, Manifest, eventually, paths, revisions, run,
};

use super::{SOON, a_cached_url, clicks, drained, entries, metric, valkey, visit};

#[test]
fn with_valkey_gone_a_click_goes_straight_to_the_database() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let url = a_cached_url(&api).await;
        visit(&api, &url).await;
        let services = application.valkey.as_ref().unwrap();
        let connection = valkey(services.valkey_url()).await;
        drained(&connection).await;
        signal(services.valkey_pid(), "KILL");
        for visits in 3..6 {
            visit(&api, &url).await;
            assert_eq!(clicks(&application.database, &url).await.len(), visits);
        }
    });
}

#[test]
fn while_the_stream_is_full_clicks_go_to_the_database_and_none_is_lost() {
    run(async {
        let manifest = Manifest::application().component_key("clicks", "stream.bound", 3);
        let application = Application::start_as(manifest).await;
        let (api, host) = (application.api(), &application.host);
        let mut valkey = valkey(application.valkey.as_ref().unwrap().valkey_url()).await;
        let url = a_cached_url(&api).await;
        let control = Control::of(host);
        control
            .deploy("clicks", revisions::named("busy", "busy"))
            .await;
        let mut visits = 1;
        eventually("the stream is full", SOON, || {
            visits += 1;
            let (api, url) = (&api, &url);
            async move {
                visit(api, url).await;
                (metric(host, "full", &[]).await == 1.0).then_some(())
            }
        })
        .await;
        let before = clicks(&application.database, &url).await.len();
        let held = entries(&mut valkey, "clicks").await;
        assert!(held >= 3, "{held}");
        for more in 1..=5 {
            visits += 1;
            visit(&api, &url).await;
            // At once, with no entry waited for.
            let now = clicks(&application.database, &url).await.len();
            assert_eq!(now, before + more);
        }
        assert_eq!(entries(&mut valkey, "clicks").await, held);
        let refused = host.metrics().await;
        let refused = refused.sum("warmlink_valkey_errors_total", &[("kind", "full")]);
        assert!(refused.is_some_and(|count| count >= 5.0), "{refused:?}");
        control.command("clicks", "rollback", "").await.expect(200);
        drained(&valkey).await;
        assert_eq!(clicks(&application.database, &url).await.len(), visits);
        eventually("there is room", SOON, || async {
            (metric(host, "full", &[]).await == 0.0).then_some(())
        })
        .await;
        assert_eq!(metric(host, "dead_letters_total", &[]).await, 0.0);
    });
}

#[test]
fn what_is_no_click_is_a_dead_letter_and_holds_up_nothing() {
    run(async {
        let manifest = Manifest::application().component_key("clicks", "stream.attempts", 2);
        let application = Application::start_as(manifest).await;
        let (api, host) = (application.api(), &application.host);
        let mut valkey = valkey(application.valkey.as_ref().unwrap().valkey_url()).await;
        let url = a_cached_url(&api).await;
        // In one batch with clicks, most likely, however long the batch takes.
        let mut poison = redis::pipe();
        for _ in 0..3 {
            poison
                .cmd("XADD")
                .arg("clicks")
                .arg("*")
                .arg("x")
                .arg("nonsense");
            let odd = poison.cmd("XADD").arg("clicks").arg("*");
            odd.arg("c")
                .arg(&b"\xff\x00"[..])
                .arg("u")
                .arg("1")
                .arg("d")
                .arg("{}");
        }
        let _: Vec<String> = poison.query_async(&mut valkey).await.unwrap();
        for _ in 0..20 {
            visit(&api, &url).await;
        }
        drained(&valkey).await;
        assert_eq!(clicks(&application.database, &url).await.len(), 21);
        assert_eq!(metric(host, "dead_letters_total", &[]).await, 6.0);
        let mut read = redis::cmd("XRANGE");
        read.arg("clicks:dead").arg("-").arg("+");
        type Letters = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;
        let dead: Letters = read.query_async(&mut valkey).await.unwrap();
        assert_eq!(dead.len(), 6);
        for (_, fields) in &dead {
            let reason = &fields.last().unwrap();
            assert_eq!(reason.0, b"reason");
            let reason = String::from_utf8(reason.1.clone()).unwrap();
            assert!(
                reason.contains("entry") && reason.contains("c: must be"),
                "{reason}"
            );
        }
        let whole = |name: &[u8], value: &[u8]| {
            let has =
                |fields: &[(Vec<u8>, Vec<u8>)]| fields.iter().any(|(n, v)| n == name && v == value);
            dead.iter().filter(|(_, fields)| has(fields)).count()
        };
        assert_eq!(whole(b"x", b"nonsense"), 3);
        assert_eq!(whole(b"c", b"\xff\x00"), 3);
        let said = host.log().lines();
        let said = said.iter().filter(|line| line.contains("never took"));
        assert_eq!(said.count(), 6, "each is logged once");
    });
}

#[test]
fn of_dead_letters_the_latest_are_kept() {
    const BOUND: usize = 4;
    run(async {
        let manifest = Manifest::application()
            .component_key("clicks", "stream.bound", BOUND as i64)
            .component_key("clicks", "stream.attempts", 1);
        let application = Application::start_as(manifest).await;
        let mut valkey = valkey(application.valkey.as_ref().unwrap().valkey_url()).await;
        // It forgets by the node, of a hundred entries where it is not told otherwise.
        let mut nodes = redis::cmd("CONFIG");
        nodes.arg("SET").arg("stream-node-max-entries").arg(BOUND);
        let _: String = nodes.query_async(&mut valkey).await.unwrap();
        let mut poison = redis::pipe();
        for number in 0..40 {
            let nonsense = poison.cmd("XADD").arg("clicks").arg("*");
            nonsense.arg("x").arg(number);
        }
        let _: Vec<String> = poison.query_async(&mut valkey).await.unwrap();
        drained(&valkey).await;
        let dead = metric(&application.host, "dead_letters_total", &[]).await;
        assert_eq!(dead, 40.0);
        type Letters = Vec<(String, Vec<(String, String)>)>;
        let mut read = redis::cmd("XRANGE");
        read.arg("clicks:dead").arg("-").arg("+");
        let kept: Letters = read.query_async(&mut valkey).await.unwrap();
        assert!(kept.len() < 2 * BOUND, "{kept:?}");
        // In the order in which they failed, and so the last of them.
        let (_, last) = kept.last().unwrap();
        assert_eq!(last[0], ("x".to_owned(), "39".to_owned()), "{kept:?}");
    });
}

#[test]
fn an_append_whose_answer_is_lost_is_one_click() {
    run(async {
        let valkey_server = Wanted::default().valkey(&[]).start().await;
        let proxy = Proxy::start(&valkey_server.valkey_authority()).await;
        let database = Database::create().await;
        let options = HostOptions::new(Manifest::application())
            .database(database.url())
            .valkey(&valkey_server.valkey_url_through(proxy.port()));
        let host = Host::start(options).await;
        let api = host.api();
        let url = a_cached_url(&api).await;
        let mut direct = valkey(valkey_server.valkey_url()).await;
        proxy.hold_answers_from(b"XADD");
        visit(&api, &url).await;
        // It is in both: what was not acknowledged went to the database, too.
        assert_eq!(clicks(&database, &url).await.len(), 2);
        assert_eq!(entries(&mut direct, "clicks").await, 1);
        proxy.release();
        drained(&direct).await;
        assert_eq!(clicks(&database, &url).await.len(), 2);
    });
}

#[test]
fn clicks_wait_in_the_stream_for_a_database_that_is_away() {
    run(async {
        let database = Database::create().await;
        let valkey_server = Wanted::default().valkey(&[]).start().await;
        let proxy = Proxy::start(&database.authority()).await;
        let options = HostOptions::new(Manifest::application())
            .database(&database.url_through(proxy.port()))
            .valkey(valkey_server.valkey_url());
        let host = Host::start(options).await;
        let api = host.api();
        let url = a_cached_url(&api).await;
        let mut direct = valkey(valkey_server.valkey_url()).await;
        rig::trusted(&host).await;
        proxy.refuse();
        for _ in 0..20 {
            visit(&api, &url).await;
        }
        eventually("it was tried", SOON, || async {
            let later = metric(&host, "deliveries_total", &[("outcome", "Later")]).await;
            (later >= 2.0).then_some(())
        })
        .await;
        assert_eq!(entries(&mut direct, "clicks").await, 20);
        assert_eq!(metric(&host, "lag", &[]).await, 20.0);
        proxy.release();
        drained(&direct).await;
        assert_eq!(clicks(&database, &url).await.len(), 21);
        assert_eq!(metric(&host, "dead_letters_total", &[]).await, 0.0);
    });
}

#[test]
fn the_consumer_is_swapped_while_clicks_flow() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let url = a_cached_url(&api).await;
        let control = Control::of(&application.host);
        let built = paths::root().join("target/wasm32-wasip2/guest/clicks.wasm");
        let mut visits = 1;
        for swap in 0..10 {
            let bytes = revisions::salted(&built, &format!("{}", swap % 2));
            let swapped = control.deploy("clicks", bytes);
            let visiting = async {
                for _ in 0..50 {
                    visit(&api, &url).await;
                }
            };
            futures::join!(swapped, visiting);
            visits += 50;
        }
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        assert_eq!(clicks.len(), visits);
        let host = &application.host;
        assert_eq!(
            metric(host, "deliveries_total", &[("outcome", "Failed")]).await,
            0.0
        );
    });
}

#[test]
fn a_stream_that_is_lost_is_made_again() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let url = a_cached_url(&api).await;
        visit(&api, &url).await;
        let mut valkey = valkey(application.valkey.as_ref().unwrap().valkey_url()).await;
        drained(&valkey).await;
        let () = redis::cmd("FLUSHALL")
            .query_async(&mut valkey)
            .await
            .unwrap();
        let gone: bool = valkey.exists("link:none").await.unwrap();
        assert!(!gone);
        for _ in 0..5 {
            visit(&api, &url).await;
        }
        eventually("all are recorded", Duration::from_secs(30), || async {
            (clicks(&application.database, &url).await.len() == 7).then_some(())
        })
        .await;
        drained(&valkey).await;
    });
}

#[test]
fn a_manifest_says_what_is_wrong_with_a_stream() {
    run(async {
        let manifest =
            Manifest::application().component_key("clicks", "stream.address", "redis://elsewhere");
        let mut host = Host::spawn(HostOptions::new(manifest).valkey("redis://127.0.0.1:9"));
        assert!(!host.exit().await.success());
        let log = host.log().to_string();
        let wanted = json!("component.clicks.tool.warmlink.stream.address").to_string();
        assert!(log.contains(wanted.trim_matches('"')), "{log}");
    });
}
