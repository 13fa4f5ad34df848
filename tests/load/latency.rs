//! What a swap costs those who are served meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use warmlink_tests::load::Solo;
use warmlink_tests::runtime::run_within;
use warmlink_tests::{Control, Host, HostOptions, Manifest, revisions};

const CLIENTS: usize = 32;
const WINDOWS: usize = 7;
const WINDOW: Duration = Duration::from_millis(2500);
/// Swaps come this often while they do: each of a new build of the component.
const BETWEEN: Duration = Duration::from_millis(500);
/// Of what the host can do.
const SHARE: f64 = 0.3;
const PATH: &str = "/rev/body?lines=10";

#[test]
fn swapping_costs_little_and_is_done_within_a_second() {
    let _turn = super::turn();
    run_within(Duration::from_secs(200), async {
        let limits = "reuse = 4096\nconcurrency = 16\nwarm = 8";
        let manifest = Manifest::several(&[("rev", "revision", limits)]);
        // As on a node that starts: the first build is compiled whole.
        let options = HostOptions::new(manifest).env("WARMLINK_CACHE", "cache");
        let host = Host::start(options).await;
        let control = Control::of(&host);

        let capacity = capacity(host.public()).await;
        let rate = capacity * SHARE;
        // The first of each is for warming up.
        window(host.public(), rate).await;
        let (mut quiet, mut swapping, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        let mut made = 0;
        for _ in 0..WINDOWS {
            quiet.push(p99(&mut window(host.public(), rate).await));
            let offered = tokio::spawn(window(host.public(), rate));
            let until = Instant::now() + WINDOW - BETWEEN;
            while Instant::now() < until {
                let next = tokio::time::sleep(BETWEEN);
                made += 1;
                seen.push(until_seen(&control, host.public(), &format!("n{made}")).await);
                next.await;
            }
            swapping.push(p99(&mut offered.await.unwrap()));
        }
        let (calm, busy) = (median(&mut quiet.clone()), median(&mut swapping.clone()));
        seen.sort_unstable();
        let (typical, slowest) = (median(&mut seen), seen[seen.len() - 1]);
        println!(
            "at {rate:.0} requests a second, {SHARE} of capacity: p99 {calm:?} without swaps \
             ({quiet:?}), {busy:?} with ({swapping:?}), {:.2} times; {made} swaps, the slowest \
             seen after {slowest:?}, the median {typical:?}",
            busy.as_secs_f64() / calm.as_secs_f64(),
        );
        assert!(busy <= calm.mul_f64(1.5), "{busy:?} against {calm:?}");
        // One that waited for a neighbour of this machine's says nothing of a swap.
        let most = seen[seen.len() * 9 / 10];
        assert!(most < Duration::from_secs(1), "nine of ten within {most:?}");
    });
}

/// From giving the command to the first response of the new code.
async fn until_seen(control: &Control, address: SocketAddr, name: &str) -> Duration {
    let bytes = revisions::named(name, "ok");
    let began = Instant::now();
    let (control, wanted) = (control.clone(), name.to_owned());
    let deployed = tokio::spawn(async move { control.deploy("rev", bytes).await });
    let mut solo = Solo::connect(address).await.unwrap();
    loop {
        let (headers, _) = solo.expect(200, Method::GET, PATH, None).await.unwrap();
        if headers.get("x-name").is_some_and(|it| *it == *wanted) {
            break;
        }
        // Asking is not to be a load of its own.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seen = began.elapsed();
    deployed.await.unwrap();
    seen
}

/// Requests a second, as fast as the clients can.
async fn capacity(address: SocketAddr) -> f64 {
    let mut clients = JoinSet::new();
    let until = Instant::now() + WINDOW;
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let mut solo = Solo::connect(address).await.unwrap();
            let mut answered = 0_u32;
            while Instant::now() < until {
                solo.expect(200, Method::GET, PATH, None).await.unwrap();
                answered += 1;
            }
            answered
        });
    }
    let answered: u32 = clients.join_all().await.into_iter().sum();
    f64::from(answered) / WINDOW.as_secs_f64()
}

/// Requests at a fixed rate, whether or not those before are answered: how long
/// each took from when it was due.
async fn window(address: SocketAddr, rate: f64) -> Vec<Duration> {
    let per_client = Duration::from_secs_f64(CLIENTS as f64 / rate);
    let took = Arc::new(Mutex::new(Vec::new()));
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for number in 0..CLIENTS {
        let took = took.clone();
        clients.spawn(async move {
            let mut solo = Solo::connect(address).await.unwrap();
            let mut own = Vec::new();
            let offset = per_client.mul_f64(number as f64 / CLIENTS as f64);
            tokio::time::sleep_until(began + offset).await;
            let mut due = interval(per_client);
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            while began.elapsed() < WINDOW {
                let due = due.tick().await;
                solo.expect(200, Method::GET, PATH, None).await.unwrap();
                own.push(due.elapsed());
            }
            took.lock().await.extend(own);
        });
    }
    clients.join_all().await;
    Arc::try_unwrap(took).unwrap().into_inner()
}

fn p99(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

fn median(of: &mut [Duration]) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}
