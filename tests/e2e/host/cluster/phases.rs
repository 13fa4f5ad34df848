//! What kubelet and clients see of a host in each phase of its life.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Full};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Client;
use warmlink_tests::daemonset::{DaemonSet, Probe};
use warmlink_tests::proxy::Proxy;
use warmlink_tests::raw::Raw;
use warmlink_tests::table::until_in_flight;
use warmlink_tests::{Api, Database, Host, HostOptions, Manifest, eventually, paths, run};

use super::{SOON, succeeds, until_closed};
use crate::host::{VARIABLES, free_address};

const POOL: &str = r#"
[[postgres]]
address = "{{ database_url }}"
min = 3
max = 3
"#;

/// A component whose bytes are not all there until somebody writes them.
struct Awaited(TempDir);

impl Awaited {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let it = Self(folder);
        let made = Command::new("mkfifo").arg(it.path()).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        it
    }

    fn path(&self) -> String {
        let path = self.0.path().join("awaited.wasm");
        path.to_str().unwrap().to_owned()
    }

    async fn write(self) {
        let write = move || fs::write(self.path(), fs::read(paths::guest("http")).unwrap());
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap().unwrap();
    }
}

/// Has the database let in so many connections of the application's.
async fn let_in(owner: &Client, connections: i32) {
    let sql = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT {connections}', \
         current_database()); END $$"
    );
    owner.batch_execute(&sql).await.unwrap();
}

async fn until_waiting_for(host: &Host, wanted: &[&str]) {
    eventually(&format!("{wanted:?} is waited for"), SOON, || async {
        let ready = host.admin_api().get("/readyz").await.expect(503).value();
        assert_eq!(ready["ready"], false);
        let waiting = ready["waiting_for"].as_array().unwrap();
        // Some are followed by which server.
        let names = waiting.iter().map(|it| it.as_str().unwrap());
        let names: Vec<_> = names.map(|it| it.split(' ').next().unwrap()).collect();
        (names == wanted).then_some(())
    })
    .await;
}

/// What is seen at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    ready: bool,
    open: bool,
}

const CLOSED: Look = look(false, false);
const SERVING: Look = look(true, true);
const DRAINING: Look = look(false, true);

const fn look(ready: bool, open: bool) -> Look {
    Look { ready, open }
}

/// Somebody who looks all the time, until the host is gone.
struct Watch {
    /// Each thing that was seen, and not what was seen just before it.
    seen: watch::Receiver<Vec<Look>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// The host has to be alive all the while.
    fn begin(host: &Host, public: SocketAddr) -> Self {
        let (admin, set) = (host.admin(), DaemonSet::base());
        let (alive, ready) = (set.probe("livenessProbe"), set.probe("readinessProbe"));
        let (noted, seen) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            while let Some(is_ready) = answer(admin, &ready).await {
                let open = TcpStream::connect(public).await.is_ok();
                match answer(admin, &alive).await {
                    Some(true) => {}
                    Some(false) => panic!("not alive, after {:?}", *noted.borrow()),
                    None => break,
                }
                let it = look(is_ready, open);
                noted.send_if_modified(|seen| {
                    let new = seen.last() != Some(&it);
                    new.then(|| seen.push(it)).is_some()
                });
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Self { seen, task }
    }

    /// Waits until this is what was seen last.
    async fn until(&mut self, wanted: Look) {
        let sees = |seen: &Vec<Look>| seen.last() == Some(&wanted);
        let seen = timeout(SOON, self.seen.wait_for(sees)).await;
        assert!(seen.is_ok_and(|it| it.is_ok()), "{wanted:?} is not seen");
    }

    /// All that was seen, once the host is gone.
    async fn ended(self) -> Vec<Look> {
        self.task.await.unwrap();
        self.seen.borrow().clone()
    }
}

/// None where nobody listens any more.
async fn answer(admin: SocketAddr, probe: &Probe) -> Option<bool> {
    // A connection for each, as kubelet has it.
    let body = Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed();
    let api = Api::new(admin);
    let asked = api.try_send(Method::GET, &probe.path, &[], body);
    let reply = timeout(probe.patience(), asked).await;
    let reply = reply.unwrap_or_else(|_| panic!("{} was not answered in time", probe.path));
    Some(reply.ok()?.status.is_success())
}

#[test]
fn probes_and_the_public_port_tell_each_phase() {
    run(async {
        let set = DaemonSet::base();
        let (started, ready) = (set.probe("startupProbe"), set.probe("readinessProbe"));
        let database = Database::create().await;
        let owner = database.connect().await;
        let proxy = Proxy::start(&database.authority()).await;
        proxy.hold();
        let_in(&owner, 2).await;
        let (awaited, cache) = (Awaited::new(), tempfile::tempdir().unwrap());
        let manifest = Manifest::one(&awaited.path(), VARIABLES).with_tool(POOL);
        let public = free_address().await;
        let options = HostOptions::new(manifest)
            .database(&database.url_through(proxy.port()))
            .env("WARMLINK_LISTEN", &public.to_string())
            .env("WARMLINK_DRAIN_DELAY", "2s")
            .env(
                "WARMLINK_CACHE",
                cache.path().join("none").to_str().unwrap(),
            );
        let mut host = Host::spawn(options);
        host.admin_bound().await;
        let mut watch = Watch::begin(&host, public);
        let admin = host.admin_api();

        // Starting: the database is not there yet. It has started as far as kubelet asks,
        // and will not be restarted for it.
        until_waiting_for(&host, &["components", "postgres", "start"]).await;
        assert!(succeeds(&admin, &started).await);

        // The database is there, and has no room for the whole pool: one is the observer.
        proxy.release();
        eventually("the pool has what it can get", SOON, || async {
            let sql = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND application_name LIKE 'warmlink/%'";
            let open: i64 = owner.query_one(sql, &[]).await.unwrap().get(0);
            (open == 1).then_some(())
        })
        .await;
        until_waiting_for(&host, &["components", "postgres", "start"]).await;

        // The pool is warm; the component is not there, and then it is compiled.
        let_in(&owner, -1).await;
        until_waiting_for(&host, &["components", "start"]).await;
        assert!(!host.is_open());
        TcpStream::connect(public).await.unwrap_err();
        awaited.write().await;

        // Ready. The first request finds all of it there.
        assert_eq!(host.opened().await, public);
        assert!(succeeds(&admin, &ready).await);
        host.api().get("/echo").await.expect(200);

        // Its database is gone, and it knows: it stays ready, and answers.
        proxy.refuse();
        eventually("the connections are lost", SOON, || async {
            let lost = host.metrics().await;
            let lost = lost.sum("warmlink_postgres_pool_lost_total", &[]);
            (lost >= Some(3.0)).then_some(())
        })
        .await;
        for _ in 0..=ready.failures {
            assert!(succeeds(&admin, &ready).await);
        }
        host.api().get("/echo").await.expect(200);
        watch.until(SERVING).await;

        // Draining: not ready, alive, and for the delay who comes is answered.
        let mut held = Raw::post_head(public, "/count", 3).await;
        until_in_flight(&host, "probe", 1).await;
        host.interrupt();
        eventually("it is out of the list", SOON, || async {
            (!succeeds(&admin, &ready).await).then_some(())
        })
        .await;
        let reply = admin.get(&ready.path).await.expect(503).value();
        assert_eq!(reply["waiting_for"], serde_json::json!(["draining"]));
        Raw::get(public, "/echo").await.transfer().await;

        // The delay is over: nobody new, and who was there is answered.
        until_closed(public).await;
        assert!(!succeeds(&admin, &ready).await);
        assert!(succeeds(&admin, &set.probe("livenessProbe")).await);
        watch.until(CLOSED).await;
        held.send("abc").await;
        assert_eq!(held.transfer().await.status, 200);

        // Ended.
        let (admin, exit) = (host.admin(), host.exit().await);
        assert_eq!(exit.code(), Some(0));
        TcpStream::connect(admin).await.unwrap_err();
        // None of it out of its turn. The port opens a moment before the host is said to be
        // ready, and may be seen so.
        let seen = watch.ended().await;
        let mut life = [CLOSED, DRAINING, SERVING, DRAINING, CLOSED].iter();
        let in_turn = |it: &Look| life.any(|next| next == it);
        assert!(seen.iter().all(in_turn), "{seen:?}");
    });
}
