//! A crowd at a port that has just opened, and a database with few places.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::join_all;
use http::Method;
use http::header::LOCATION;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_postgres::Client;
use warmlink_tests::load::Solo;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::services::{Services, Wanted};
use warmlink_tests::{Api, Database, Host, HostOptions, Manifest, eventually, run};

const CLIENTS: usize = 500;
/// What each client does: so many times a create, a list and a visit.
const ROUNDS: usize = 3;
/// What the manifest declares, and not one more.
const POOL: i64 = 8;

/// A server with room for twenty connections, all told.
async fn small_server() -> (Services, Database) {
    let services = Wanted::default()
        .postgres(&[("max_connections", "20")])
        .start()
        .await;
    let database = Database::create_on(&services).await;
    (services, database)
}

fn options(database_url: &str) -> HostOptions {
    let manifest = Manifest::application()
        .postgres_key("min", POOL)
        .postgres_key("max", POOL);
    HostOptions::new(manifest)
        .database(database_url)
        .env("WARMLINK_NODE", "burst")
}

/// Connections of the host's, as the server sees them.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    pool: i64,
    /// The pool's and that of the migrations.
    all: i64,
}

impl Seen {
    async fn look(observer: &Client) -> Self {
        let sql = "SELECT count(*) FILTER (WHERE application_name = 'warmlink/burst'), \
                   count(*) FILTER (WHERE application_name <> 'observer') \
                   FROM pg_stat_activity WHERE backend_type = 'client backend'";
        let row = observer
            .query_one(sql, &[])
            .await
            .expect("the server has a place for us");
        Self {
            pool: row.get(0),
            all: row.get(1),
        }
    }
}

/// Looks at the server again and again; the most it saw at once.
struct Sampler {
    end: oneshot::Sender<()>,
    most: tokio::task::JoinHandle<(Seen, usize)>,
}

impl Sampler {
    fn start(observer: Client) -> Self {
        let (end, mut ended) = oneshot::channel();
        let most = tokio::spawn(async move {
            let mut most = Seen::default();
            let mut looks = 0;
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while ended.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                let seen = Seen::look(&observer).await;
                most.pool = most.pool.max(seen.pool);
                most.all = most.all.max(seen.all);
                looks += 1;
                tick.tick().await;
            }
            (most, looks)
        });
        Self { end, most }
    }

    async fn assert_within_bounds(self) {
        self.end.send(()).expect("it looks until told to end");
        let (most, looks) = self.most.await.expect("every look succeeds");
        assert!(looks >= 20, "{looks} looks are too few to tell");
        assert!(most.pool <= POOL, "{most:?}");
        assert!(most.all <= POOL + 1, "{most:?}");
    }
}

async fn client(address: SocketAddr, number: usize, start: Arc<Barrier>) -> anyhow::Result<()> {
    start.wait().await;
    let mut solo = Solo::connect(address).await?;
    for round in 0..ROUNDS {
        let target = format!("https://example.com/{number}/{round}");
        let body = json!({ "original_url": target });
        let (_, made) = solo.expect(201, Method::POST, "/urls", Some(&body)).await?;
        let made: Value = serde_json::from_slice(&made)?;
        let (_, list) = solo
            .expect(200, Method::GET, "/urls?per_page=10", None)
            .await?;
        let list: Vec<Value> = serde_json::from_slice(&list)?;
        anyhow::ensure!(!list.is_empty(), "a list without the url just made");
        let code = made["short_code"].as_str().context("a code")?;
        let (head, _) = solo
            .expect(302, Method::GET, &format!("/{code}"), None)
            .await?;
        let location = head.get(LOCATION).context("a place to go")?;
        anyhow::ensure!(
            location.as_bytes() == target.as_bytes(),
            "{location:?} for {target}"
        );
    }
    Ok(())
}

/// All clients at once; what went wrong with each that failed.
async fn burst(address: SocketAddr) -> Vec<String> {
    let start = Arc::new(Barrier::new(CLIENTS));
    let clients = (0..CLIENTS).map(|number| tokio::spawn(client(address, number, start.clone())));
    let ended = join_all(clients).await;
    ended
        .into_iter()
        .filter_map(|ended| ended.expect("a client does not panic").err())
        .map(|error| format!("{error:#}"))
        .collect()
}

/// Warnings and errors in the log, and what components complain of, after a
/// number of lines.
fn complaints(host: &Host, after: usize) -> Vec<String> {
    let lines = host.log().lines();
    let written = lines
        .iter()
        .skip(after)
        .filter(|line| !line.starts_with("[stdout]"));
    written
        .filter(|line| {
            let record: Value = serde_json::from_str(line).unwrap_or_default();
            // What is no record is what no one meant to write: a panic's words.
            record["level"] != "INFO" || record.get("stream").is_some()
        })
        .cloned()
        .collect()
}

async fn assert_served(host: &Host, observer: &Client, lines_before: usize) {
    let failed = burst(host.public()).await;
    assert!(
        failed.is_empty(),
        "{} of {CLIENTS} failed: {:?}",
        failed.len(),
        &failed[..failed.len().min(5)]
    );
    let complaints = complaints(host, lines_before);
    assert!(complaints.is_empty(), "{complaints:#?}");
    let made: i64 = observer
        .query_one("SELECT count(*) FROM urls", &[])
        .await
        .unwrap()
        .get(0);
    let made_and_visited = "SELECT count(*) FROM events";
    let told: i64 = observer
        .query_one(made_and_visited, &[])
        .await
        .unwrap()
        .get(0);
    let wanted = i64::try_from(CLIENTS * ROUNDS).unwrap();
    assert_eq!((made, told), (wanted, 2 * wanted));

    let metrics = host.metrics().await;
    let count = |name: &str| metrics.sum(&format!("warmlink_postgres_pool_{name}_total"), &[]);
    assert_eq!(count("lost"), Some(0.0));
    assert_eq!(count("timeouts"), Some(0.0));
}

#[test]
fn five_hundred_clients_at_once_are_all_served_by_eight_connections() {
    run(async {
        let (services, database) = small_server().await;
        let observer = database.connect().await;
        let sampler = Sampler::start(database.connect().await);
        let mut host = Host::spawn(options(database.url()));
        host.opened().await;
        // Nobody has asked for anything yet.
        let at_opening = Seen::look(&observer).await;
        assert_eq!(at_opening.pool, POOL, "{at_opening:?}");
        assert_served(&host, &observer, 0).await;
        let metrics = host.metrics().await;
        let opened = metrics.sum("warmlink_postgres_pool_opened_total", &[]);
        assert_eq!(opened, Some(POOL as f64), "a connection was replaced");
        sampler.assert_within_bounds().await;
        assert!(host.terminate().await.success());
        services.stop().await;
    });
}

#[test]
fn behind_a_slow_database_the_port_opens_late_and_not_broken() {
    run(async {
        let (services, database) = small_server().await;
        let observer = database.connect().await;
        let sampler = Sampler::start(database.connect().await);
        let proxy = Proxy::start(&database.authority()).await;
        proxy.hold();
        let port = free_port();
        let options = options(&database.url_through(proxy.port()))
            .env("WARMLINK_LISTEN", &format!("127.0.0.1:{port}"));
        let mut host = Host::spawn(options);
        let admin = Api::new(host.admin_bound().await);
        // It waits for the server, gives up an attempt, says so and tries again.
        eventually("an attempt ends", Duration::from_secs(60), async || {
            (!complaints(&host, 0).is_empty()).then_some(())
        })
        .await;
        let given_up = proxy.accepted();
        eventually("it tries again", Duration::from_secs(60), async || {
            (proxy.accepted() > given_up).then_some(())
        })
        .await;
        let readiness = admin.get("/readyz").await.expect(503).value();
        let waiting = readiness["waiting_for"].to_string();
        assert!(waiting.contains("postgres"), "{readiness}");
        assert!(!host.is_open());
        let public = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(
            TcpStream::connect(public).await.is_err(),
            "the port accepts before it can serve"
        );

        // What was given up must not reach the server when all else does.
        proxy.cut();
        proxy.release();
        assert_eq!(host.opened().await, public);
        let at_opening = Seen::look(&observer).await;
        assert_eq!(at_opening.pool, POOL, "{at_opening:?}");
        let lines = host.log().lines().len();
        assert_served(&host, &observer, lines).await;
        sampler.assert_within_bounds().await;
        assert!(host.terminate().await.success());
        services.stop().await;
    });
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
