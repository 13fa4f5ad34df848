//! Two hundred swaps under a steady load, seen by nobody.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use http::header::LOCATION;
use serde_json::{Value, json};
use warmlink_tests::load::Solo;
use warmlink_tests::raw::Raw;
use warmlink_tests::runtime::run_within;
use warmlink_tests::services::Wanted;
use warmlink_tests::traffic::Traffic;
use warmlink_tests::{
    Control, Database, Host, HostOptions, Manifest, control, eventually, paths, revisions,
};

const SWAPS: usize = 200;
/// Between the two looks at the memory, as much may come and go with the load.
const MEMORY: u64 = 8 << 20;
const LINES: usize = 50;

#[test]
fn two_hundred_swaps_are_noticed_by_nobody() {
    let _turn = super::turn();
    run_within(Duration::from_secs(400), async {
        let database = Database::create().await;
        let valkey = Wanted::default().valkey(&[]).start().await;
        let manifest = Manifest::application()
            .with_guest(
                "rev",
                "revision",
                "reuse = 4096\nconcurrency = 16\nwarm = 4",
            )
            .with_guest(
                "steady",
                "http",
                "reuse = 100000000\nconcurrency = 16\nwarm = 2",
            );
        let options = HostOptions::new(manifest)
            .database(database.url())
            .valkey(valkey.valkey_url())
            .env("WARMLINK_NODE", "swaps")
            // Of its own: what is new is compiled under the load.
            .env("WARMLINK_CACHE", "cache");
        let host = Host::start(options).await;
        let control = Control::of(&host);
        let observer = database.connect().await;

        let url = json!({ "original_url": "https://example.com/swapped" });
        let url = host.api().post("/urls", &url).await.expect(201).value();
        let code = url["short_code"].as_str().unwrap().to_owned();
        let traffic = traffic(host.public(), &code).await;

        let mut memory_early = 0;
        // Once each has been asked: instances are made as they are needed.
        eventually("some traffic", Duration::from_secs(10), || async {
            (traffic.answered() > 1_000).then_some(())
        })
        .await;
        let before = (
            connections(&observer).await,
            clients(&valkey).await,
            steady(&host).await,
        );
        assert!(!before.0.is_empty() && !before.1.is_empty() && before.2.0.is_some());
        for swap in 1..=SWAPS {
            let (component, bytes) = revision(swap);
            control.deploy(component, bytes).await;
            if swap == 20 {
                memory_early = settled_memory(&host).await;
            }
        }
        let memory_late = settled_memory(&host).await;
        let after = (
            connections(&observer).await,
            clients(&valkey).await,
            steady(&host).await,
        );
        assert_eq!(before, after, "connections, and other endpoints' instances");

        let rounds = traffic.stop().await;
        let scrape = host.metrics().await;
        println!(
            "{SWAPS} swaps under {rounds} requests; resident after 20: {memory_early}, \
             after {SWAPS}: {memory_late} bytes"
        );
        assert!(rounds > 20 * SWAPS as u64, "{rounds} requests are no load");
        assert!(
            memory_late <= memory_early + MEMORY,
            "from {memory_early} to {memory_late} bytes"
        );
        for (metric, most) in [
            ("warmlink_failures_total", 0.0),
            ("warmlink_aborted_bodies_total", 0.0),
            ("warmlink_revisions_cut_total", 0.0),
        ] {
            assert!(scrape.sum(metric, &[]).unwrap_or(0.0) <= most, "{metric}");
        }
        // Everything retired goes, once nobody is served by it any more.
        eventually(
            "all retired revisions gone",
            Duration::from_secs(20),
            || async {
                let scrape = host.metrics().await;
                let left = scrape.sum("warmlink_revisions_draining", &[])?;
                let tables = scrape.sum("warmlink_generations_live", &[])?;
                (left == 0.0 && tables == 1.0).then_some(())
            },
        )
        .await;
    });
}

/// What is swapped in next: `redirect`, `users`, `urls` and the guest in turn.
/// A few revisions of each, so that it is swapping that is tested, and not
/// compiling.
fn revision(swap: usize) -> (&'static str, Vec<u8>) {
    let built = |name: &str| paths::root().join(format!("target/wasm32-wasip2/guest/{name}.wasm"));
    let salted = |name: &str| revisions::salted(&built(name), &format!("{}", swap / 5 % 3));
    match swap % 5 {
        0 => ("redirect", salted("redirect")),
        1 => ("users", salted("users")),
        2 => ("urls", salted("urls")),
        3 => ("redirect", revisions::salted(&built("redirect"), "other")),
        _ => ("rev", revisions::named(&format!("r{}", swap / 5 % 8), "ok")),
    }
}

/// Keep-alive and short-lived connections, slow bodies, and an endpoint that is
/// never swapped.
async fn traffic(address: SocketAddr, code: &str) -> Traffic {
    let mut traffic = Traffic::default();
    let solos = |count| async move {
        let mut solos = Vec::new();
        for _ in 0..count {
            solos.push(Solo::connect(address).await.unwrap());
        }
        std::sync::Mutex::new(solos)
    };
    let whole = format!("/rev/body?lines={LINES}");
    let path = whole.clone();
    let kept = solos(8).await;
    traffic.add(
        "a keep-alive client",
        8,
        || kept.lock().unwrap().pop().unwrap(),
        move |mut solo| {
            let path = path.clone();
            async move {
                let (headers, body) = solo.expect(200, Method::GET, &path, None).await?;
                control::name(&headers, &body, LINES)?;
                Ok(solo)
            }
        },
    );
    traffic.add(
        "a new connection for each request",
        4,
        || (),
        move |()| {
            let path = whole.clone();
            async move {
                let mut solo = Solo::connect(address).await?;
                let (headers, body) = solo.expect(200, Method::GET, &path, None).await?;
                control::name(&headers, &body, LINES)?;
                Ok(())
            }
        },
    );
    traffic.add(
        "a slow body",
        4,
        || (),
        move |()| async move {
            let path = "/rev/slow?lines=40&gap=25";
            let transfer = Raw::get(address, path).await.transfer().await;
            anyhow::ensure!(
                transfer.status == 200 && transfer.complete,
                "cut: {transfer:?}"
            );
            let text = String::from_utf8(transfer.body)?;
            let named = transfer
                .head
                .lines()
                .find_map(|it| it.strip_prefix("x-name: "));
            let name = named.ok_or_else(|| anyhow::anyhow!("no name"))?;
            let whole = text.lines().count() == 40 && text.lines().all(|line| line == name);
            anyhow::ensure!(whole, "{name} said {text:?}");
            Ok(())
        },
    );
    let visit = format!("/{code}");
    let kept = solos(4).await;
    traffic.add(
        "a visitor",
        4,
        || kept.lock().unwrap().pop().unwrap(),
        move |mut solo| {
            let visit = visit.clone();
            async move {
                let (headers, _) = solo.expect(302, Method::GET, &visit, None).await?;
                let right = headers
                    .get(LOCATION)
                    .is_some_and(|it| it == "https://example.com/swapped");
                anyhow::ensure!(right, "{headers:?}");
                Ok(solo)
            }
        },
    );
    let kept = solos(2).await;
    traffic.add(
        "a reader of users",
        2,
        || kept.lock().unwrap().pop().unwrap(),
        move |mut solo| async move {
            let (_, body) = solo.expect(200, Method::GET, "/users", None).await?;
            let users: Value = serde_json::from_slice(&body)?;
            anyhow::ensure!(users.as_array().is_some_and(Vec::is_empty), "{users}");
            Ok(solo)
        },
    );
    let kept = solos(2).await;
    traffic.add(
        "a client of the endpoint that stays",
        2,
        || kept.lock().unwrap().pop().unwrap(),
        move |mut solo| async move {
            solo.expect(200, Method::GET, "/steady/instance", None)
                .await?;
            Ok(solo)
        },
    );
    traffic
}

/// The host's connections, as PostgreSQL knows them.
async fn connections(observer: &tokio_postgres::Client) -> BTreeSet<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'warmlink/%' \
               AND datname = current_database()";
    let rows = observer.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The host's connections, as Valkey knows them.
async fn clients(valkey: &warmlink_tests::services::Services) -> BTreeSet<String> {
    let client = redis::Client::open(valkey.valkey_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let own: i64 = redis::cmd("CLIENT")
        .arg("ID")
        .query_async(&mut connection)
        .await
        .unwrap();
    let list: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query_async(&mut connection)
        .await
        .unwrap();
    list.lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|id| *id != format!("id={own}"))
        .map(str::to_owned)
        .collect()
}

/// Instances made of the endpoint that is never swapped.
async fn steady(host: &Host) -> (Option<u64>, Option<u64>) {
    let scrape = host.metrics().await;
    let of = |name| {
        let sum = scrape.sum(name, &[("component", "steady")]);
        sum.map(|value| value as u64)
    };
    (
        of("warmlink_instances"),
        of("warmlink_instantiations_total"),
    )
}

/// The least of a few looks at the memory: what the requests of a moment hold
/// comes and goes.
async fn settled_memory(host: &Host) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..20 {
        least = least.min(host.resident_bytes());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    least
}
