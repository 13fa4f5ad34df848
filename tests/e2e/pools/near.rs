//! Values of Valkey that the host keeps: told fast, and never for long after
//! they have changed.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::time::Instant;
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::proxy::Proxy;
use warmlink_tests::services::{Services, Wanted, signal};
use warmlink_tests::{Host, HostOptions, Manifest, eventually, run};

use super::SOON;

/// Nothing is told that changed longer ago than this.
const TRUSTED: Duration = Duration::from_millis(100);

const KEY: &str = "link:a";

fn manifest(keys: &str) -> Manifest {
    Manifest::one(
        "redis3",
        "allowed_outbound_hosts = [\"{{ valkey_origin }}\"]\n\
         [component.probe.tool.warmlink]\nreuse = 1000\nconcurrency = 16\n\
         [variables]\n\
         valkey_url = { required = true, secret = true }\n\
         valkey_origin = { required = true }",
    )
    .with_tool(&format!(
        "[[valkey]]\naddress = \"{{{{ valkey_url }}}}\"\nnear_cache = [\"link:\"]\n{keys}"
    ))
}

/// A host that keeps what it reads of keys like [`KEY`].
struct Rig {
    valkey: Services,
    proxy: Proxy,
    address: String,
    host: Host,
    probe: Probe,
    /// A client of the test's own, past the relay.
    outside: MultiplexedConnection,
}

async fn rig(keys: &str) -> Rig {
    let valkey = Wanted::default().valkey(&[]).start().await;
    let proxy = Proxy::start(&valkey.valkey_authority()).await;
    let address = valkey.valkey_url_through(proxy.port());
    let host = Host::start(HostOptions::new(manifest(keys)).valkey(&address)).await;
    let client = redis::Client::open(valkey.valkey_url()).unwrap();
    let outside = client.get_multiplexed_async_connection().await.unwrap();
    let probe = Probe::new(host.api(), "/");
    Rig {
        valkey,
        proxy,
        address,
        host,
        probe,
        outside,
    }
}

fn get(key: &str) -> Value {
    json!({ "get": { "on": "c", "key": key } })
}

fn set(value: &str) -> Value {
    json!({ "set": { "on": "c", "key": KEY, "value": value } })
}

fn execute(command: &str, arguments: Value) -> Value {
    json!({ "execute": { "on": "c", "command": command, "arguments": arguments } })
}

impl Rig {
    /// The outcomes of steps on handle `c`.
    async fn run(&self, steps: &[Value]) -> Vec<Value> {
        let mut script = vec![open("c", &self.address)];
        script.extend_from_slice(steps);
        self.probe.run(json!(script)).await.split_off(1)
    }

    async fn read(&self) -> Value {
        self.run(&[get(KEY)]).await.remove(0)
    }

    /// Reads until the host need not ask for it.
    async fn hit(&self) -> Value {
        eventually("the host knows the value", SOON, || async {
            let before = self.lookups("hit").await;
            let read = self.read().await;
            (self.lookups("hit").await > before).then_some(read)
        })
        .await
    }

    async fn lookups(&self, outcome: &str) -> f64 {
        self.near("lookups_total", &[("outcome", outcome)]).await
    }

    async fn near(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let scrape = self.host.metrics().await;
        let name = format!("warmlink_valkey_near_{name}");
        scrape
            .sum(&name, labels)
            .unwrap_or_else(|| panic!("no {name}"))
    }

    /// Whatever was begun so long after a change has to know of it, however
    /// slow the machine is. Asks all the while and a little longer.
    async fn knows_in_time(&self, changed: Instant, is_right: impl Fn(&Value) -> bool) {
        let due = changed + TRUSTED;
        let mut after = 0;
        while after < 5 {
            let begun = Instant::now();
            let read = self.read().await;
            if begun >= due {
                assert!(is_right(&read), "{read} after {:?}", begun - changed);
                after += 1;
            }
        }
    }
}

#[test]
fn what_was_read_does_not_reach_the_server_again() {
    run(async {
        let mut rig = rig("").await;
        let _: () = rig.outside.set(KEY, "value").await.unwrap();
        rig.hit().await;
        let asked = async |outside: &mut MultiplexedConnection| {
            let info: redis::InfoDict = redis::cmd("INFO")
                .arg("commandstats")
                .query_async(outside)
                .await
                .unwrap();
            let stats: String = info.get("cmdstat_get").unwrap();
            let calls = stats.split([',', '=']).nth(1).unwrap();
            calls.parse::<f64>().unwrap()
        };
        let known = async |rig: &Rig| rig.lookups("hit").await + rig.lookups("joined").await;
        let (asked_before, known_before) = (asked(&mut rig.outside).await, known(&rig).await);
        let steps = vec![get(KEY); 50];
        for outcomes in join_all((0..10).map(|_| rig.run(&steps))).await {
            assert!(outcomes.iter().all(|read| read["ok"] == "value"));
        }
        let known = known(&rig).await - known_before;
        assert!(known > 0.0, "nothing was known");
        assert_eq!(asked(&mut rig.outside).await - asked_before, 500.0 - known);
    });
}

#[test]
fn a_change_from_outside_is_known_within_a_tenth_of_a_second() {
    run(async {
        let mut rig = rig("").await;
        for n in 0..5 {
            rig.hit().await;
            let value = format!("value {n}");
            let _: () = rig.outside.set(KEY, &value).await.unwrap();
            rig.knows_in_time(Instant::now(), |read| read["ok"] == value)
                .await;
        }
        rig.hit().await;
        let _: () = redis::cmd("FLUSHALL")
            .query_async(&mut rig.outside)
            .await
            .unwrap();
        rig.knows_in_time(Instant::now(), |read| read["ok"].is_null())
            .await;
    });
}

#[test]
fn a_change_by_this_host_is_known_at_once() {
    run(async {
        let rig = rig("").await;
        rig.hit().await;
        let script = "return redis.call('SET', KEYS[1], ARGV[1])";
        for n in 0..50 {
            let value = |how: &str| format!("{how} {n}");
            let outcomes = rig
                .run(&[
                    set(&value("set")),
                    get(KEY),
                    execute("EVAL", json!([script, 1, KEY, value("script")])),
                    get(KEY),
                    execute("MULTI", json!([])),
                    execute("SET", json!([KEY, value("transaction")])),
                    execute("EXEC", json!([])),
                    get(KEY),
                    json!({ "del": { "on": "c", "keys": [KEY] } }),
                    get(KEY),
                    set("last"),
                    execute("FLUSHDB", json!([])),
                    get(KEY),
                ])
                .await;
            for (step, wanted) in [
                (1, json!(value("set"))),
                (3, json!(value("script"))),
                (7, json!(value("transaction"))),
                (9, Value::Null),
                (12, Value::Null),
            ] {
                assert_eq!(outcomes[step]["ok"], wanted, "{outcomes:?}");
            }
        }
        assert!(rig.lookups("miss").await > 0.0, "the cache took part");
    });
}

#[test]
fn a_key_that_has_expired_is_gone() {
    run(async {
        let mut rig = rig("").await;
        let _: () = rig.outside.pset_ex(KEY, "value", 3000).await.unwrap();
        assert_eq!(rig.hit().await["ok"], "value");
        let mut outside = rig.outside.clone();
        while outside.exists::<_, bool>(KEY).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let read = rig.read().await;
        assert!(read["ok"].is_null() && read.get("err").is_none(), "{read}");
    });
}

#[test]
fn nothing_is_told_of_a_server_that_is_gone() {
    run(async {
        let mut rig = rig("").await;
        let _: () = rig.outside.set(KEY, "value").await.unwrap();
        rig.hit().await;
        signal(rig.valkey.valkey_pid(), "KILL");
        rig.knows_in_time(Instant::now(), |read| read.get("err").is_some())
            .await;
        assert_eq!(rig.near("trusted", &[]).await, 0.0);
        assert_eq!(rig.near("entries", &[]).await, 0.0);
    });
}

#[test]
fn a_server_that_is_cut_off_is_not_told_of_and_is_taken_up_again() {
    run(async {
        let mut rig = rig("").await;
        let _: () = rig.outside.set(KEY, "old").await.unwrap();
        rig.hit().await;
        rig.proxy.hold();
        rig.knows_in_time(Instant::now(), |read| read.get("err").is_some())
            .await;
        let _: () = rig.outside.set(KEY, "new").await.unwrap();
        rig.proxy.release();
        eventually("the server is taken up again", SOON, || async {
            let read = rig.read().await;
            assert_ne!(read["ok"], "old");
            (read["ok"] == "new").then_some(())
        })
        .await;
        assert_eq!(rig.hit().await["ok"], "new");
    });
}

#[test]
fn without_the_news_of_changes_the_server_is_asked_each_time() {
    run(async {
        let mut rig = rig("").await;
        let _: () = rig.outside.set(KEY, "old").await.unwrap();
        rig.hit().await;
        let clients: String = redis::cmd("CLIENT")
            .arg("LIST")
            .query_async(&mut rig.outside)
            .await
            .unwrap();
        let field = |client: &str, name: &str| {
            let mut fields = client.split(' ');
            fields.find_map(|field| Some(field.strip_prefix(name)?.to_owned()))
        };
        let mut trackers = clients
            .lines()
            .filter(|client| field(client, "flags=").is_some_and(|flags| flags.contains('t')));
        let tracker = trackers.next().expect("a connection is told of changes");
        let address = field(tracker, "addr=").unwrap();
        rig.proxy
            .hold_one(address.rsplit(':').next().unwrap().parse().unwrap());
        let _: () = rig.outside.set(KEY, "new").await.unwrap();
        rig.knows_in_time(Instant::now(), |read| read["ok"] == "new")
            .await;
        assert!(rig.lookups("bypass").await > 0.0);
        rig.proxy.release();
        assert_eq!(rig.hit().await["ok"], "new");
    });
}

#[test]
fn the_size_holds_whatever_is_read() {
    const KEYS: usize = 100_000;
    const SIZE: f64 = 1_048_576.0;
    run(async {
        let mut rig = rig("near_cache_size = \"1MiB\"").await;
        let numbers: Vec<usize> = (0..KEYS).collect();
        for some in numbers.chunks(10_000) {
            let mut pipeline = redis::pipe();
            for n in some {
                pipeline.set(format!("link:{n}"), "v".repeat(100)).ignore();
            }
            let _: () = pipeline.query_async(&mut rig.outside).await.unwrap();
        }
        let scripts = numbers.chunks(1000).map(|some| {
            let steps: Vec<_> = some.iter().map(|n| get(&format!("link:{n}"))).collect();
            let rig = &rig;
            async move {
                let outcomes = rig.run(&steps).await;
                assert!(outcomes.iter().all(|read| read["ok"].is_string()));
                let bytes = rig.near("bytes", &[]).await;
                assert!(bytes <= SIZE, "{bytes}");
            }
        });
        stream::iter(scripts)
            .buffer_unordered(8)
            .collect::<Vec<()>>()
            .await;
        let evicted = rig.near("drops_total", &[("reason", "evicted")]).await;
        assert!(evicted > 0.0);
        let entries = rig.near("entries", &[]).await;
        let bytes = rig.near("bytes", &[]).await;
        assert!(bytes >= entries * 100.0 && bytes > SIZE / 2.0, "{bytes}");
    });
}
