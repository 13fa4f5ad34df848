//! Each client's requests, and whom they are from: as one node counts them.

mod fleet;

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::HeaderName;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use warmlink_tests::host::Shared;
use warmlink_tests::revisions::named;
use warmlink_tests::{Api, Control, Host, HostOptions, Manifest, Reply, eventually, run};

use super::{SOON, assert_failure, of_component};

/// A time in which no request comes back while a test looks.
const HOURLY: &str = "per = \"1h\"";

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A host that believes this machine, and counts by itself. Each test has clients
/// of its own.
async fn counting() -> Shared {
    static HOST: OnceCell<Host> = OnceCell::const_new();
    let start = || {
        let own = |keys: &str| format!("rate = {{ {keys}, {HOURLY} }}");
        let manifest = Manifest::several(&[
            ("three", "http", &own("requests = 3")),
            (
                "steady",
                "http",
                "rate = { requests = 1, per = \"1h\", burst = 4 }",
            ),
            ("quick", "http", "rate = { requests = 1, per = \"300ms\" }"),
            (
                "keyed",
                "http",
                &own("requests = 2, key = \"header:X-Api-Key\""),
            ),
            ("one", "http", ""),
            ("another", "http", ""),
            ("free", "http", "rate = false"),
        ]);
        let manifest = manifest.with_tool(&format!(
            "metrics = \"/metrics\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
             [rate]\nrequests = 4\n{HOURLY}"
        ));
        Host::start(HostOptions::new(manifest))
    };
    Shared(HOST.get_or_init(start).await)
}

/// A GET that a proxy says is from `client`.
async fn from(api: &Api, client: &str, path: &str) -> Reply {
    let headers = [(FORWARDED, client)];
    api.send(Method::GET, path, &headers, Bytes::new()).await
}

/// A field of a structured header, such as `r` of `"name";r=2;t=10`.
#[track_caller]
fn field(reply: &Reply, header: &str, name: &str) -> u64 {
    let value = reply
        .header(header)
        .unwrap_or_else(|| panic!("no {header}"));
    let parameter = value
        .split(';')
        .find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    parameter
        .unwrap_or_else(|| panic!("no {name} in {value}"))
        .parse()
        .unwrap()
}

/// What is told of a client that has so many requests left, the last of them to be
/// back in some `reset` seconds: fewer by what the test itself took.
#[track_caller]
fn assert_told(reply: &Reply, policy: &str, remaining: u64, reset: u64) {
    assert_eq!(reply.header("ratelimit-policy"), Some(policy));
    assert_eq!(field(reply, "ratelimit", "r"), remaining);
    let told = field(reply, "ratelimit", "t");
    assert!((reset - 60..=reset).contains(&told), "{told} of {reset}");
    let name = policy.split(';').next().unwrap();
    assert!(reply.header("ratelimit").unwrap().starts_with(name));
}

/// Requests of a component, by how they were counted.
async fn counted(host: &Host, component: &str, outcome: &str, by: &str) -> f64 {
    let labels = [
        ("component", component),
        ("outcome", outcome),
        ("counted", by),
    ];
    let scrape = host.metrics().await;
    scrape.sum("warmlink_rate_requests_total", &labels).unwrap()
}

/// `spin-client-addr` and `x-forwarded-for`, as a guest sees them.
fn addresses(reply: &Reply) -> (String, Vec<String>) {
    let seen = reply.value();
    let of = |name: &str| -> Vec<String> {
        let headers = seen["headers"].as_array().unwrap().iter();
        let pairs = headers.filter(|pair| pair[0] == name);
        pairs
            .map(|pair| pair[1].as_str().unwrap().to_owned())
            .collect()
    };
    let client = of("spin-client-addr");
    assert_eq!(client.len(), 1, "{client:?}");
    (client[0].clone(), of("x-forwarded-for"))
}

#[test]
fn a_burst_is_served_and_what_follows_is_told_when_to_come_again() {
    run(async {
        let host = counting().await;
        let policy = "\"three\";q=3;w=3600";
        let (api, client) = (host.api(), "203.0.113.1");
        // Whatever becomes of a request, it counts, and its answer says so.
        for (path, status, left, reset) in [
            ("/three/status/204", 204, 2, 1200),
            ("/three/refuse", 502, 1, 2400),
            ("/three/echo", 200, 0, 1200),
        ] {
            let reply = from(&api, client, path).await.expect(status);
            assert_told(&reply, policy, left, reset);
            assert_eq!(reply.header("retry-after"), None, "{path}");
        }
        for api in [host.api(), Api::h2c(host.public())] {
            let reply = from(&api, client, "/three/echo").await;
            assert_failure(&reply, 429, "rate_limited");
            assert_told(&reply, policy, 0, 1200);
            let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(after, field(&reply, "ratelimit", "t"));
        }
        assert_eq!(counted(&host, "three", "limited", "local").await, 2.0);
        // Others have their own, and the same client has it elsewhere.
        from(&api, "203.0.113.2", "/three/echo").await.expect(200);
        eventually("what was refused reached no guest", SOON, || async {
            let reached = of_component(&host, "requests_total", "three").await;
            (reached == 4.0).then_some(())
        })
        .await;
        let steady = from(&api, client, "/steady/echo").await.expect(200);
        assert_told(&steady, "\"steady\";q=4;w=14400", 3, 3600);
    });
}

#[test]
fn requests_come_back_with_time() {
    run(async {
        let host = counting().await;
        let (api, client) = (host.api(), "203.0.113.3");
        let begun = Instant::now();
        from(&api, client, "/quick/echo").await.expect(200);
        eventually("a request is back", SOON, || async {
            let reply = from(&api, client, "/quick/echo").await;
            if reply.status == 200 {
                return Some(());
            }
            assert_failure(&reply, 429, "rate_limited");
            assert_eq!(reply.header("retry-after"), Some("1"), "whole seconds");
            None
        })
        .await;
        let passed = begun.elapsed();
        assert!(passed >= Duration::from_millis(300), "{passed:?}");
    });
}

#[test]
fn the_applications_limit_is_over_all_that_have_no_other() {
    run(async {
        let host = counting().await;
        let api = host.api();
        // One client, by any address of its network.
        let network = [
            "2001:db8::1",
            "2001:db8::2",
            "[2001:db8::ff:0:0:3]:80",
            "2001:db8::4",
        ];
        let paths = ["/one/echo", "/another/echo", "/one/echo", "/another/echo"];
        for (left, (client, path)) in (0..4).rev().zip(network.iter().zip(paths)) {
            let reply = from(&api, client, path).await.expect(200);
            assert_eq!(
                reply.header("ratelimit-policy"),
                Some("\"application\";q=4;w=3600")
            );
            assert_eq!(field(&reply, "ratelimit", "r"), left);
        }
        for path in ["/one/echo", "/another/echo"] {
            assert_failure(&from(&api, "2001:db8::5", path).await, 429, "rate_limited");
        }
        from(&api, "2001:db8:0:1::1", "/one/echo").await.expect(200);
        // What is exempt, and what is the host's own, has no limit.
        for path in ["/free/echo", "/metrics"] {
            let reply = from(&api, "2001:db8::1", path).await.expect(200);
            assert_eq!(reply.header("ratelimit"), None, "{path}");
        }
        assert_eq!(counted(&host, "another", "limited", "local").await, 1.0);
    });
}

#[test]
fn a_client_may_be_known_by_a_header() {
    run(async {
        let host = counting().await;
        let api = host.api();
        let ask = async |client: &str, key: Option<&str>| {
            let mut headers = vec![(FORWARDED, client)];
            headers.extend(key.map(|key| (API_KEY, key)));
            let reply = api
                .send(Method::GET, "/keyed/echo", &headers, Bytes::new())
                .await;
            reply.status.as_u16()
        };
        let (here, there) = ("203.0.113.11", "203.0.113.12");
        assert_eq!(ask(here, Some("a")).await, 200);
        assert_eq!(ask(there, Some("a")).await, 200);
        assert_eq!(ask(here, Some("a")).await, 429, "wherever it is from");
        assert_eq!(ask(here, Some("b")).await, 200);
        // Without one it is the address that counts.
        assert_eq!(ask(here, None).await, 200);
        assert_eq!(ask(here, Some("")).await, 200);
        assert_eq!(ask(here, None).await, 429);
        assert_eq!(ask(there, None).await, 200);
    });
}

#[test]
fn a_trusted_proxy_says_whom_a_request_is_from() {
    run(async {
        let host = counting().await;
        let api = host.api();
        for (lines, client) in [
            (&["203.0.113.21"][..], "203.0.113.21:0"),
            (&["198.51.100.1, 203.0.113.21:4711"], "203.0.113.21:4711"),
            (
                &["198.51.100.1", "203.0.113.21, 127.0.0.9"],
                "203.0.113.21:0",
            ),
            (&["2001:db8::21"], "[2001:db8::21]:0"),
            (&["198.51.100.1, unknown, 127.0.0.9"], "127.0.0.9:0"),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| (FORWARDED, *line)).collect();
            let reply = api
                .send(Method::GET, "/free/echo", &headers, Bytes::new())
                .await;
            let (seen, passed) = addresses(&reply.expect(200));
            assert_eq!(seen, client, "{lines:?}");
            assert_eq!(passed, lines, "passed on as they came");
        }
        let (seen, passed) = addresses(&api.get("/free/echo").await.expect(200));
        assert!(
            seen.starts_with("127.0.0.1:") && !seen.ends_with(":0"),
            "{seen}"
        );
        assert!(passed.is_empty());
    });
}

#[test]
fn nobody_else_is_believed_and_a_swap_forgives_nothing() {
    run(async {
        let rate = format!("rate = {{ requests = 3, {HOURLY} }}");
        let manifest = Manifest::several(&[("rev", "revision", &rate), ("echo", "http", "")]);
        let host = Host::start(HostOptions::new(manifest)).await;
        let api = host.api();
        let reply = from(&api, "203.0.113.31", "/echo/echo").await.expect(200);
        assert_eq!(reply.header("ratelimit"), None);
        let (seen, passed) = addresses(&reply);
        assert!(seen.starts_with("127.0.0.1:"), "{seen}");
        assert_eq!(passed, ["203.0.113.31"]);
        for client in ["203.0.113.31", "203.0.113.32", "203.0.113.33"] {
            from(&api, client, "/rev/").await.expect(200);
        }
        from(&api, "203.0.113.34", "/rev/").await.error(429);
        Control::of(&host).deploy("rev", named("next", "ok")).await;
        from(&api, "203.0.113.35", "/rev/").await.error(429);
    });
}
