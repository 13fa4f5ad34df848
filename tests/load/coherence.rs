//! Two nodes with near caches, one Valkey, one PostgreSQL: no read that starts
//! 100 ms after a write was answered is stale, on either node; with a fault in
//! between, none that starts after the time that a repair takes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use http::header::LOCATION;
use http::{Method, StatusCode};
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use warmlink_tests::load::Solo;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::runtime::run_within;
use warmlink_tests::services::{Services, Wanted, signal};
use warmlink_tests::{Database, Host, HostOptions, Manifest, eventually};

/// Links that are read and changed throughout.
const LINKS: usize = 48;
/// Connections of each node that read, and that write.
const READERS: usize = 6;
const WRITERS: usize = 3;
/// Between two writes of one writer.
const BETWEEN: Duration = Duration::from_millis(12);
/// What a node may lag behind a write that was answered.
const PROMISED: Duration = Duration::from_millis(100);
/// The same after a fault: an intent is replayed that is older than a second,
/// every two seconds at most; and there is a command's timeout.
const REPAIRED: Duration = Duration::from_secs(4);
/// Of each part of the test.
const PART: Duration = Duration::from_secs(3);

/// What a link leads to after its writes, in their order. The first is there
/// from the beginning.
struct Link {
    id: u64,
    path: String,
    writes: RwLock<Vec<Write>>,
    /// One writer at a time, so that writes have an order. Once the link was
    /// deleted: when.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Clone, Copy)]
struct Write {
    /// Whether it leads anywhere after it: then to the page of its number.
    active: bool,
    /// None while, or if ever, it was not answered: it may have been done.
    answered: Option<Instant>,
}

struct World {
    /// A deleted link makes room for another after a while.
    links: Vec<RwLock<Arc<Link>>>,
    /// Where each node is; one that was killed comes back at another port.
    nodes: [Mutex<SocketAddr>; 2],
    /// When the latest fault was over, or will be.
    troubled: Mutex<Option<Instant>>,
    over: AtomicBool,
    reads: AtomicU64,
    hot: AtomicU64,
    writes: AtomicU64,
    broken: AtomicU64,
    stale: Mutex<Vec<String>>,
}

#[test]
fn no_node_answers_from_the_past() {
    let _turn = super::turn();
    run_within(Duration::from_secs(240), async {
        let database = Database::create().await;
        let wanted = || Wanted::default().valkey(&[("appendonly", "no")]);
        let mut valkey = wanted().start().await;
        let proxies = [
            Proxy::start(&valkey.valkey_authority()).await,
            Proxy::start(&valkey.valkey_authority()).await,
        ];
        let mut hosts = Vec::new();
        for (number, proxy) in proxies.iter().enumerate() {
            hosts.push(node(number, &database, &valkey, proxy).await);
        }
        let world = Arc::new(World {
            links: links(&hosts[0]).await,
            nodes: [0, 1].map(|number| Mutex::new(Host::public(&hosts[number]))),
            troubled: Mutex::new(None),
            over: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            hot: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            stale: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for node in 0..2 {
            for _ in 0..READERS {
                clients.spawn(read(world.clone(), node));
            }
            for _ in 0..WRITERS {
                clients.spawn(write(world.clone(), node));
            }
        }

        eventually("200 writes", Duration::from_secs(60), || async {
            (world.writes.load(Relaxed) >= 200).then_some(())
        })
        .await;
        world.part("undisturbed");

        // The server hangs up on whoever tracks, again and again.
        world.trouble(PART);
        for _ in 0..6 {
            cut_trackers(&valkey).await;
            sleep(PART / 6).await;
        }
        world.part("tracking cut");

        // One node hears nothing, and its words do not arrive.
        world.trouble(PART);
        proxies[1].hold();
        sleep(PART / 2).await;
        proxies[1].release();
        sleep(PART / 2).await;
        world.part("one node cut off");

        world.trouble(PART);
        signal(valkey.valkey_pid(), "STOP");
        sleep(PART / 3).await;
        signal(valkey.valkey_pid(), "CONT");
        sleep(PART * 2 / 3).await;
        world.part("frozen");

        // Back with what was saved a while ago.
        save(&valkey).await;
        sleep(PART / 3).await;
        world.trouble(PART);
        signal(valkey.valkey_pid(), "KILL");
        valkey = wanted().start_in(valkey.stop().await).await;
        let restored = key_count(&valkey).await;
        assert!(restored > 0, "nothing was restored");
        for proxy in &proxies {
            proxy.retarget(&valkey.valkey_authority());
        }
        sleep(PART).await;
        world.part("restored from its file");

        world.trouble(PART);
        signal(valkey.valkey_pid(), "KILL");
        let state = valkey.stop().await;
        forget(state.path());
        valkey = wanted().start_in(state).await;
        assert_eq!(key_count(&valkey).await, 0);
        for proxy in &proxies {
            proxy.retarget(&valkey.valkey_authority());
        }
        sleep(PART).await;
        world.part("restarted empty");

        // Writers die between the database and the cache.
        for victim in [0, 1] {
            world.trouble(PART);
            signal(hosts[victim].pid(), "KILL");
            hosts[victim] = node(victim, &database, &valkey, &proxies[victim]).await;
            *world.nodes[victim].lock().unwrap() = hosts[victim].public();
        }
        sleep(PART).await;
        world.part("nodes killed");

        // Everything has healed: the promise of an ordinary day again.
        sleep(REPAIRED).await;
        assert_eq!(world.grace(Instant::now()), PROMISED);
        sleep(PART).await;
        world.over.store(true, Relaxed);
        clients.join_all().await;
        world.part("healed");
        let (reads, hot) = (world.reads.load(Relaxed), world.hot.load(Relaxed));
        let hits = hosts[0]
            .metrics()
            .await
            .sum("warmlink_valkey_near_lookups_total", &[("outcome", "hit")]);
        assert!(
            hits.is_some_and(|hits| hits > 0.0),
            "the near cache was used: {hits:?}"
        );
        let stale = world.stale.lock().unwrap();
        assert!(
            stale.is_empty(),
            "{} stale reads: {:#?}",
            stale.len(),
            &stale[..stale.len().min(8)]
        );
        assert!(
            reads > 10_000 && hot > 1_000,
            "{reads} reads, {hot} of the latest write"
        );
    });
}

impl World {
    /// Any of the links.
    fn link(&self) -> Arc<Link> {
        let place = &self.links[rand::rng().random_range(0..LINKS)];
        place.read().unwrap().clone()
    }

    /// From now on for `time`, and the time of a repair, more is forgiven.
    fn trouble(&self, time: Duration) {
        *self.troubled.lock().unwrap() = Some(Instant::now() + time);
    }

    fn grace(&self, at: Instant) -> Duration {
        match *self.troubled.lock().unwrap() {
            Some(until) if at < until + REPAIRED => REPAIRED,
            _ => PROMISED,
        }
    }

    fn part(&self, name: &str) {
        println!(
            "{name}: {} reads so far, {} of a link's latest state once that was due, {} writes, \
             {} requests broken off, {} stale",
            self.reads.load(Relaxed),
            self.hot.load(Relaxed),
            self.writes.load(Relaxed),
            self.broken.load(Relaxed),
            self.stale.lock().unwrap().len(),
        );
    }
}

impl Link {
    fn new(url: &Value) -> Self {
        Self {
            id: url["id"].as_u64().unwrap(),
            path: format!("/{}", url["short_code"].as_str().unwrap()),
            writes: RwLock::new(vec![Write {
                active: true,
                answered: Some(Instant::now()),
            }]),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Adds a write that is about to be made, and gives its number.
    fn begin(&self, active: bool) -> usize {
        let mut writes = self.writes.write().unwrap();
        let answered = None;
        writes.push(Write { active, answered });
        writes.len() - 1
    }

    /// The write begun last was answered.
    fn answered(&self) {
        let mut writes = self.writes.write().unwrap();
        writes.last_mut().unwrap().answered = Some(Instant::now());
    }

    /// The latest write that a read of this time has to have seen.
    fn due(&self, began: Instant, grace: Duration) -> usize {
        let writes = self.writes.read().unwrap();
        let due = |write: &Write| write.answered.is_some_and(|at| at + grace <= began);
        writes.iter().rposition(due).unwrap_or(0)
    }

    /// Whether what a read found is one of the states from `due` on.
    fn allows(&self, due: usize, found: Option<usize>) -> bool {
        let writes = self.writes.read().unwrap();
        match found {
            Some(number) => number >= due && writes.get(number).is_some_and(|it| it.active),
            None => writes[due..].iter().any(|write| !write.active),
        }
    }

    fn latest(&self) -> usize {
        self.writes.read().unwrap().len() - 1
    }
}

/// Reads random links of one node. `HEAD`, which leaves no click.
async fn read(world: Arc<World>, node: usize) {
    let mut connection = None;
    while !world.over.load(Relaxed) {
        let Some(mut solo) = connected(connection.take(), &world, node).await else {
            continue;
        };
        let link = world.link();
        let began = Instant::now();
        let Ok((status, headers, _)) = solo.send(Method::HEAD, &link.path, None).await else {
            world.broken.fetch_add(1, Relaxed);
            continue;
        };
        connection = Some(solo);
        let grace = world.grace(began);
        let due = link.due(began, grace);
        let found = match status {
            StatusCode::FOUND => {
                let target = headers[LOCATION].to_str().unwrap();
                let (_, number) = target.rsplit_once('/').unwrap();
                Some(number.parse().unwrap())
            }
            StatusCode::NOT_FOUND => None,
            other => panic!("{} answered {other}", link.path),
        };
        world.reads.fetch_add(1, Relaxed);
        if !link.allows(due, found) {
            let late = link.writes.read().unwrap()[due]
                .answered
                .map(|at| began - at);
            world.stale.lock().unwrap().push(format!(
                "{} of node {node}: {found:?} though {due} was answered {late:?} before ({grace:?} \
                 granted)",
                link.path
            ));
        } else if due == link.latest() && due > 0 {
            world.hot.fetch_add(1, Relaxed);
        }
    }
}

/// Changes random links by way of one node: to another page, to rest, and back.
async fn write(world: Arc<World>, node: usize) {
    let mut connection = None;
    while !world.over.load(Relaxed) {
        sleep(BETWEEN).await;
        let Some(mut solo) = connected(connection.take(), &world, node).await else {
            continue;
        };
        let place = &world.links[rand::rng().random_range(0..LINKS)];
        let link = place.read().unwrap().clone();
        let mut deleted = link.turn.lock().await;
        let (method, path, body, wanted) = match *deleted {
            // As long as a repair may take, it is looked whether it stays away.
            Some(at) if at.elapsed() < REPAIRED => {
                connection = Some(solo);
                continue;
            }
            Some(_) => {
                let body = json!({ "original_url": page(0) });
                (
                    Method::POST,
                    "/urls".to_owned(),
                    Some(body),
                    StatusCode::CREATED,
                )
            }
            None => {
                let path = format!("/urls/{}", link.id);
                let active = rand::rng().random_bool(0.75);
                let number = link.begin(active);
                if !active && rand::rng().random_bool(0.1) {
                    *deleted = Some(Instant::now());
                    (Method::DELETE, path, None, StatusCode::NO_CONTENT)
                } else {
                    let body = json!({ "original_url": page(number), "is_active": active });
                    (Method::PUT, path, Some(body), StatusCode::OK)
                }
            }
        };
        match solo.send(method.clone(), &path, body.as_ref()).await {
            Ok((status, _, body)) if status == wanted => {
                world.writes.fetch_add(1, Relaxed);
                connection = Some(solo);
                if method == Method::POST {
                    let url: Value = serde_json::from_slice(&body).unwrap();
                    *place.write().unwrap() = Arc::new(Link::new(&url));
                } else {
                    link.answered();
                }
            }
            Ok((status, _, body)) => {
                panic!(
                    "{method} {path} answered {status}: {}",
                    String::from_utf8_lossy(&body)
                )
            }
            Err(_) => {
                world.broken.fetch_add(1, Relaxed);
            }
        }
    }
}

async fn connected(kept: Option<Solo>, world: &World, node: usize) -> Option<Solo> {
    if kept.is_some() {
        return kept;
    }
    let address = *world.nodes[node].lock().unwrap();
    let solo = Solo::connect(address).await.ok();
    if solo.is_none() {
        // The node is on its way up.
        sleep(Duration::from_millis(20)).await;
    }
    solo
}

async fn links(host: &Host) -> Vec<RwLock<Arc<Link>>> {
    let api = host.api();
    let mut links = Vec::new();
    for _ in 0..LINKS {
        let url: Value = api
            .post("/urls", &json!({ "original_url": page(0) }))
            .await
            .expect(201)
            .value();
        links.push(RwLock::new(Arc::new(Link::new(&url))));
    }
    links
}

fn page(number: usize) -> String {
    format!("https://example.com/{number}")
}

async fn node(number: usize, database: &Database, valkey: &Services, proxy: &Proxy) -> Host {
    let options = HostOptions::new(Manifest::application())
        .database(database.url())
        .valkey(&valkey.valkey_url_through(proxy.port()))
        .env("WARMLINK_NODE", &format!("coherent{number}"));
    Host::start(options).await
}

async fn direct(valkey: &Services) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(valkey.valkey_url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn save(valkey: &Services) {
    let mut connection = direct(valkey).await;
    let () = redis::cmd("SAVE")
        .query_async(&mut connection)
        .await
        .unwrap();
}

async fn key_count(valkey: &Services) -> u64 {
    let mut connection = direct(valkey).await;
    redis::cmd("DBSIZE")
        .query_async(&mut connection)
        .await
        .unwrap()
}

/// Removes what a server would restore.
fn forget(state: &Path) {
    for entry in std::fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            forget(&path);
        } else if path.extension().is_some_and(|it| it == "rdb") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Ends every connection over which the server tells of changes.
async fn cut_trackers(valkey: &Services) {
    let mut connection = direct(valkey).await;
    let list: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query_async(&mut connection)
        .await
        .unwrap();
    let mut cut = 0;
    for client in list.lines() {
        let field = |name: &str| {
            let mut fields = client.split(' ');
            fields.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
        };
        if field("flags").is_some_and(|flags| flags.contains('t')) {
            let id = field("id").unwrap();
            let () = redis::cmd("CLIENT")
                .arg(&["KILL", "ID", id])
                .query_async(&mut connection)
                .await
                .unwrap();
            cut += 1;
        }
    }
    assert!(cut > 0, "nobody tracks: {list}");
}
