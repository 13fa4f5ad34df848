//! What Spin's components expect to find in a request's headers.

use bytes::Bytes;
use http::Method;
use http::header::HeaderName;
use serde_json::Value;
use warmlink_tests::{Host, HostOptions, Manifest, run};

const ROUTES: &str = r#"
[[trigger.http]]
route = "/..."
component = "all"
[[trigger.http]]
route = "/files/:user/..."
component = "all"
[[trigger.http]]
route = "/echo"
component = "all"
[component.all]
source = "http"
"#;

async fn host() -> Host {
    Host::start(HostOptions::new(Manifest::guests(ROUTES))).await
}

/// All values of a header that the guest saw.
fn values<'a>(seen: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = seen["headers"].as_array().unwrap();
    headers
        .iter()
        .filter(|pair| pair[0] == name)
        .map(|pair| pair[1].as_str().unwrap())
        .collect()
}

#[test]
fn a_component_is_told_how_it_was_reached() {
    run(async {
        let host = host().await;
        let authority = host.public().to_string();
        for (path, wanted) in [
            (
                "/files/ann/echo/a%20b?q=1",
                [
                    ("spin-path-info", "/echo/a%20b"),
                    ("spin-matched-route", "/files/:user/..."),
                    ("spin-component-route", "/files/:user"),
                    ("spin-raw-component-route", "/files/:user/..."),
                    ("spin-base-path", "/"),
                    ("spin-path-match-user", "ann"),
                ]
                .as_slice(),
            ),
            (
                "/echo",
                [
                    ("spin-path-info", ""),
                    ("spin-matched-route", "/echo"),
                    ("spin-component-route", "/echo"),
                    ("spin-raw-component-route", "/echo"),
                    ("spin-base-path", "/"),
                ]
                .as_slice(),
            ),
            (
                "/echo/further",
                [
                    ("spin-path-info", "/echo/further"),
                    ("spin-raw-component-route", "/..."),
                ]
                .as_slice(),
            ),
        ] {
            let seen = host.api().get(path).await.expect(200).value();
            for (name, value) in wanted {
                assert_eq!(values(&seen, name), [*value], "{name} of {path}");
            }
            let full = format!("http://{authority}{path}");
            assert_eq!(values(&seen, "spin-full-url"), [full.as_str()]);
            let peer = values(&seen, "spin-client-addr");
            assert!(
                peer.len() == 1 && peer[0].starts_with("127.0.0.1:"),
                "{peer:?}"
            );
        }
    });
}

#[test]
fn what_a_client_forges_is_dropped() {
    run(async {
        let host = host().await;
        for path in ["/echo", "/files/ann/echo"] {
            let headers = [
                "spin-client-addr",
                "spin-path-info",
                "spin-full-url",
                "spin-path-match-user",
                "spin-path-match-admin",
                "spin-anything-else",
            ]
            .map(|name| (HeaderName::from_static(name), "forged"));
            let reply = host
                .api()
                .send(Method::GET, path, &headers, Bytes::new())
                .await;
            let text = reply.expect(200).text();
            assert!(!text.contains("forged"), "{text}");
            assert!(!text.contains("spin-anything-else"), "{text}");
        }
    });
}

#[test]
fn a_component_that_reads_none_is_spared_them() {
    run(async {
        let manifest = Manifest::one("http", "tool.warmlink.spin_headers = false\n");
        let host = Host::start(HostOptions::new(manifest)).await;
        let headers = [
            (HeaderName::from_static("spin-client-addr"), "forged"),
            (HeaderName::from_static("x-own"), "kept"),
        ];
        let reply = host
            .api()
            .send(Method::GET, "/echo", &headers, Bytes::new())
            .await;
        let seen = reply.expect(200).value();
        assert_eq!(values(&seen, "x-own"), ["kept"]);
        let names = seen["headers"].as_array().unwrap().iter();
        let spins: Vec<_> = names
            .filter(|pair| pair[0].as_str().unwrap().starts_with("spin-"))
            .collect();
        assert!(spins.is_empty(), "{spins:?}");
    });
}
