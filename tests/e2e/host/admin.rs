//! The admin port, and what of it is public.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use warmlink_tests::{Api, Host, HostOptions, Manifest, run};

use super::plain;

#[test]
fn the_table_tells_what_is_served() {
    run(async {
        let manifest = Manifest::several(&[
            ("one", "http", "warm = 2\nreuse = 50\nconcurrency = 5"),
            ("two", "variables3", ""),
        ]);
        let host = Host::start(HostOptions::new(manifest)).await;
        let table = host.admin_api().get("/table").await.expect(200).value();
        assert!(table["generation"].as_u64().unwrap() >= 1);
        let routes = table["routes"].as_array().unwrap();
        for name in ["one", "two"] {
            let route = json!({ "route": format!("/{name}/..."), "component": name });
            assert!(routes.contains(&route), "{table}");
        }
        let components = table["components"].as_array().unwrap();
        assert_eq!(components.len(), 2, "{table}");
        let one = &components[0];
        assert_eq!(one["name"], "one");
        for (field, wanted) in [
            ("warm", 2),
            ("reuse", 50),
            ("concurrency", 5),
            ("in_flight", 0),
        ] {
            assert_eq!(one[field], wanted, "{field}: {table}");
        }
        let revisions: BTreeSet<_> = components
            .iter()
            .map(|component| component["revision"].as_str().unwrap())
            .collect();
        assert_eq!(revisions.len(), 2, "{table}");
        for revision in revisions {
            assert_eq!(revision.len(), 64);
            assert!(revision.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    });
}

#[test]
fn the_admin_port_takes_what_it_knows() {
    run(async {
        let host = Host::start(plain()).await;
        let admin = host.admin_api();
        admin.get("/nothing").await.error(404);
        admin.get("/echo").await.error(404);
        for path in ["/livez", "/readyz", "/metrics", "/table"] {
            admin.get(path).await.expect(200);
            assert!(admin.head(path).await.expect(200).body.is_empty());
            for method in [Method::POST, Method::DELETE] {
                let reply = admin.send(method, path, &[], Bytes::new()).await;
                reply.error(405);
                assert_eq!(reply.header("allow"), Some("GET, HEAD"));
            }
            // None of it is on the public port: there the component answers.
            let reply = host.api().get(path).await.expect(404);
            assert_eq!(reply.value()["error"], "no such behaviour");
        }
    });
}

#[test]
fn metrics_are_public_where_the_manifest_says_so() {
    run(async {
        let manifest = Manifest::one("http", "").tool_key("metrics", "/stats");
        let host = Host::start(HostOptions::new(manifest)).await;
        let names = async |api: Api, path: &str| {
            let reply = api.get(path).await.expect(200);
            assert!(
                reply
                    .header("content-type")
                    .unwrap()
                    .starts_with("text/plain")
            );
            let scrape = warmlink_tests::metrics::Scrape::parse(&reply.text());
            scrape
                .names()
                .map(ToOwned::to_owned)
                .collect::<BTreeSet<_>>()
        };
        // Both have seen the same.
        host.api().get("/echo").await.expect(200);
        let public = names(host.api(), "/stats").await;
        assert_eq!(public, names(host.admin_api(), "/metrics").await);
        for name in [
            "warmlink_requests_total",
            "warmlink_request_seconds_bucket",
            "warmlink_in_flight",
            "warmlink_instances",
            "warmlink_connections",
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
        ] {
            assert!(public.contains(name), "{name} is not among {public:?}");
        }
    });
}

#[test]
fn requests_are_counted_once_each_by_class_and_component() {
    run(async {
        let manifest = Manifest::several(&[("one", "http", ""), ("two", "http", "")]);
        let host = Host::start(HostOptions::new(manifest)).await;
        let api = host.api();
        for (path, times) in [
            ("/one/status/204", 3),
            ("/one/status/404", 2),
            ("/two/status/302", 1),
            ("/two/trap", 1),
        ] {
            join_all((0..times).map(|_| api.get(path))).await;
        }
        let scrape = host.metrics().await;
        let count = |component: &str, class: &str| {
            let labels = [("component", component), ("class", class)];
            scrape.sum("warmlink_requests_total", &labels).unwrap()
        };
        assert_eq!(count("one", "Success"), 3.0);
        assert_eq!(count("one", "ClientError"), 2.0);
        assert_eq!(count("two", "Redirect"), 1.0);
        assert_eq!(count("two", "ServerError"), 1.0);
        let observed = scrape.sum("warmlink_request_seconds_count", &[("component", "one")]);
        assert_eq!(observed, Some(5.0));
        assert_eq!(scrape.sum("warmlink_in_flight", &[]), Some(0.0));
    });
}

#[test]
fn no_label_grows_with_what_clients_send() {
    run(async {
        let host = Host::start(plain()).await;
        host.api().get("/echo").await.expect(200);
        let series = async || host.metrics().await.samples().len();
        let before = series().await;
        for number in 0..20 {
            let path = format!("/echo/{number}?q={number}");
            host.api().get(&path).await.expect(200);
        }
        assert_eq!(series().await, before);
    });
}

#[test]
fn probes_are_answered_while_every_core_spins() {
    run(async {
        let limits = "[component.probe.tool.warmlink]\ncpu = \"2s\"\ndeadline = \"5s\"";
        let host = Host::start(HostOptions::new(Manifest::one("http", limits))).await;
        let spins: Vec<_> = (0..8)
            .map(|_| {
                let api = Api::new(host.public());
                tokio::spawn(async move { api.get("/spin").await })
            })
            .collect();
        warmlink_tests::table::until_in_flight(&host, "probe", 8).await;
        for path in ["/livez", "/readyz", "/metrics"] {
            host.admin_api().get(path).await.expect(200);
        }
        assert!(spins.iter().all(|spin| !spin.is_finished()));
        for spin in spins {
            let reply = spin.await.unwrap();
            assert!(
                matches!(reply.status.as_u16(), 502 | 504),
                "{}",
                reply.text()
            );
        }
        let ready: Value = host.admin_api().get("/readyz").await.expect(200).value();
        assert_eq!(ready["ready"], true);
    });
}
