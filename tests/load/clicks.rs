//! Every redirect that was answered is one click, whatever happens to the hosts
//! meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::REFERER;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use warmlink_tests::runtime::run_within;
use warmlink_tests::services::{Services, Wanted, signal};
use warmlink_tests::{
    Control, Database, Host, HostOptions, Manifest, eventually, paths, revisions,
};

/// Redirects of a run; `CLICKS=100000` in the environment makes it a longer one.
const CLICKS: u64 = 10_000;

/// Clients of each host.
const CLIENTS: usize = 16;

/// Hosts that are killed, and started again, one after the other.
const KILLS: u64 = 4;

type Sender = SendRequest<Empty<Bytes>>;

/// Where a host is now. One that was killed comes back at another port.
struct Place {
    address: Mutex<std::net::SocketAddr>,
}

/// What all clients have in common.
struct Crowd {
    path: String,
    /// The number of the next request; each has its own, in `Referer`.
    next: AtomicU64,
    wanted: u64,
    answered: Mutex<HashSet<u64>>,
    /// Requests whose answer never came.
    broken: AtomicUsize,
}

#[test]
fn no_click_is_lost_or_doubled_while_hosts_are_killed_and_the_consumer_is_swapped() {
    let _turn = super::turn();
    run_within(Duration::from_secs(400), async {
        let wanted = std::env::var("CLICKS").ok();
        let wanted = wanted.map_or(CLICKS, |number| number.parse().expect("a number"));
        let database = Database::create().await;
        let valkey = Wanted::default().valkey(&[]).start().await;
        let mut hosts = Vec::new();
        for number in 0..2 {
            hosts.push(node(number, &database, &valkey).await);
        }
        let url = json!({ "original_url": "https://example.com/counted" });
        let url = hosts[0].api().post("/urls", &url).await.expect(201).value();
        let crowd = Arc::new(Crowd {
            path: format!("/{}", url["short_code"].as_str().unwrap()),
            next: AtomicU64::new(0),
            wanted,
            answered: Mutex::default(),
            broken: AtomicUsize::new(0),
        });
        let places: Vec<_> = hosts
            .iter()
            .map(|host| {
                Arc::new(Place {
                    address: Mutex::new(host.public()),
                })
            })
            .collect();
        let began = Instant::now();
        let clients: Vec<JoinHandle<()>> = places
            .iter()
            .flat_map(|place| (0..CLIENTS).map(|_| place.clone()))
            .map(|place| tokio::spawn(client(crowd.clone(), place)))
            .collect();

        let clicks = paths::root().join("target/wasm32-wasip2/guest/clicks.wasm");
        for kill in 1..=KILLS {
            // Spread over the run.
            let due = wanted * kill / (KILLS + 1);
            eventually("enough were asked", Duration::from_secs(200), || async {
                (crowd.next.load(Relaxed) >= due).then_some(())
            })
            .await;
            let victim = (kill % 2) as usize;
            let other = 1 - victim;
            let swapped = Control::of(&hosts[other]);
            swapped
                .deploy("clicks", revisions::salted(&clicks, &kill.to_string()))
                .await;
            signal(hosts[victim].pid(), "KILL");
            hosts[victim] = node(victim, &database, &valkey).await;
            *places[victim].address.lock().unwrap() = hosts[victim].public();
        }
        for client in clients {
            client.await.expect("a client does not panic");
        }
        let took = began.elapsed();

        let mut stream = redis::Client::open(valkey.valkey_url())
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .unwrap();
        let drained = Instant::now();
        while redis::cmd("XLEN")
            .arg("clicks")
            .query_async::<u64>(&mut stream)
            .await
            .unwrap()
            > 0
        {
            assert!(
                drained.elapsed() < Duration::from_secs(60),
                "the stream stays"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let recorded = recorded(&database).await;
        let answered = crowd.answered.lock().unwrap().clone();
        let lost = answered.iter().filter(|it| !recorded.contains_key(it));
        let doubled = recorded.values().filter(|count| **count > 1).count();
        let surplus = recorded.keys().filter(|it| !answered.contains(it)).count();
        let broken = crowd.broken.load(Relaxed);
        let dead: u64 = redis::cmd("XLEN")
            .arg("clicks:dead")
            .query_async(&mut stream)
            .await
            .unwrap();
        println!(
            "{} of {wanted} redirects answered in {took:.1?}, {broken} broken by {KILLS} kills; \
             {} clicks, {doubled} doubled, {surplus} of requests without an answer",
            answered.len(),
            recorded.len(),
        );
        assert_eq!(lost.count(), 0, "clicks were lost");
        assert_eq!((doubled, dead), (0, 0));
        // What was in flight at a kill may have been recorded; besides, a client may
        // have connected to a host that was on its way out, and was not read from.
        let in_flight = CLIENTS * KILLS as usize;
        assert!(surplus <= in_flight, "{surplus} clicks of no answer");
        assert!(broken <= 2 * in_flight, "{broken} requests broke");
        assert_eq!(answered.len() + broken, wanted as usize);
    });
}

async fn node(number: usize, database: &Database, valkey: &Services) -> Host {
    let manifest = Manifest::application().component_key("clicks", "stream.claim_after", "1s");
    let options = HostOptions::new(manifest)
        .database(database.url())
        .valkey(valkey.valkey_url())
        .env("WARMLINK_NODE", &format!("clicks{number}"));
    Host::start(options).await
}

/// Asks until all have been asked for.
async fn client(crowd: Arc<Crowd>, place: Arc<Place>) {
    let mut connection: Option<Sender> = None;
    loop {
        let Some(mut sender) = connect(&mut connection, &place).await else {
            // The host is on its way up.
            if crowd.next.load(Relaxed) >= crowd.wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let number = crowd.next.fetch_add(1, Relaxed);
        if number >= crowd.wanted {
            return;
        }
        let request = Request::builder()
            .method(Method::GET)
            .uri(&crowd.path)
            .header("host", "counted.example")
            .header(REFERER, number.to_string())
            .body(Empty::new())
            .unwrap();
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            response.into_body().collect().await?;
            Ok::<_, hyper::Error>(status)
        };
        match answer.await {
            Ok(status) => {
                assert_eq!(status, 302, "request {number}");
                crowd.answered.lock().unwrap().insert(number);
                connection = Some(sender);
            }
            Err(_) => {
                crowd.broken.fetch_add(1, Relaxed);
            }
        }
    }
}

async fn connect(kept: &mut Option<Sender>, place: &Place) -> Option<Sender> {
    if let Some(mut sender) = kept.take()
        && sender.ready().await.is_ok()
    {
        return Some(sender);
    }
    let address = *place.address.lock().unwrap();
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move {
        // The next request says that the connection is gone.
        let _ = connection.await;
    });
    Some(sender)
}

/// How often each request was recorded.
async fn recorded(database: &Database) -> HashMap<u64, u64> {
    let client = database.connect().await;
    let sql = "SELECT details->>'referrer' FROM events WHERE event_type = 'click'";
    let mut recorded = HashMap::new();
    for row in client.query(sql, &[]).await.unwrap() {
        let number: String = row.get(0);
        *recorded.entry(number.parse().unwrap()).or_default() += 1;
    }
    recorded
}
