//! `spin:redis@3.0.0` and `fermyon:spin/redis@2.0.0`, call by call.

use futures::StreamExt as _;
use serde_json::{Value, json};
use warmlink_tests::probe::open;
use warmlink_tests::{run, unique};

use super::rig;

const BOTH: [&str; 2] = ["redis3", "redis2"];

fn on(call: &str, key: &str) -> Value {
    json!({ call: { "on": "c", "key": key } })
}

fn with(call: &str, key: &str, value: Value) -> Value {
    json!({ call: { "on": "c", "key": key, "value": value } })
}

pub(super) fn execute(command: &str, arguments: Value) -> Value {
    json!({ "execute": { "on": "c", "command": command, "arguments": arguments } })
}

/// The outcomes after the first, all of which must be well.
#[track_caller]
fn rest(outcomes: &[Value]) -> Vec<&Value> {
    let ok = |outcome| Value::get(outcome, "ok").unwrap_or_else(|| panic!("{outcomes:?}"));
    outcomes[1..].iter().map(ok).collect()
}

#[test]
fn values_are_set_read_counted_and_deleted() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let (text, number) = (unique::name("text"), unique::name("number"));
            let outcomes = rig
                .probe(guest)
                .run(json!([
                    rig.valkey(),
                    on("get", &text),
                    with("set", &text, json!("grüße")),
                    on("get", &text),
                    on("incr", &number),
                    on("incr", &number),
                    { "del": { "on": "c", "keys": [text, number, unique::name("none")] } },
                    on("get", &text),
                    { "close": "c" },
                ]))
                .await;
            let wanted = [
                json!(null),
                json!(null),
                json!("grüße"),
                json!(1),
                json!(2),
                json!(2),
                json!(null),
                json!(null),
            ];
            assert_eq!(
                rest(&outcomes),
                wanted.iter().collect::<Vec<_>>(),
                "{guest}"
            );
        }
    });
}

#[test]
fn sets_take_and_give_their_members() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let set = unique::name("set");
            let outcomes = rig
                .probe(guest)
                .run(json!([
                    rig.valkey(),
                    on("smembers", &set),
                    with("sadd", &set, json!(["a", "b"])),
                    with("sadd", &set, json!(["b", "c"])),
                    with("srem", &set, json!(["a", "z"])),
                    on("smembers", &set),
                ]))
                .await;
            let found = rest(&outcomes);
            assert_eq!(
                found[..4],
                [&json!([]), &json!(2), &json!(1), &json!(1)],
                "{guest}"
            );
            let mut members = found[4].as_array().unwrap().clone();
            members.sort_by_key(|member| member.to_string());
            assert_eq!(members, [json!("b"), json!("c")], "{guest}");
        }
    });
}

#[test]
fn a_published_message_reaches_those_who_listen() {
    run(async {
        let (_host, rig) = rig().await;
        let client = redis::Client::open(rig.valkey).unwrap();
        for guest in BOTH {
            let channel = unique::name("channel");
            let mut listener = client.get_async_pubsub().await.unwrap();
            listener.subscribe(&channel).await.unwrap();
            let publish =
                json!({ "publish": { "on": "c", "channel": channel, "payload": "hello" } });
            rig.probe(guest).ok(json!([rig.valkey(), publish])).await;
            let message = listener.on_message().next().await.unwrap();
            assert_eq!(message.get_payload::<String>().unwrap(), "hello", "{guest}");
        }
    });
}

#[test]
fn any_command_can_be_executed_and_its_reply_is_flattened() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let (key, list) = (unique::name("key"), unique::name("list"));
            let nested = "return {1, {'a', {'b'}}, false, redis.status_reply('FINE')}";
            let outcomes = rig
                .probe(guest)
                .run(json!([
                    rig.valkey(),
                    execute("SET", json!([key, 42])),
                    execute("get", json!([key])),
                    execute("GET", json!([unique::name("none")])),
                    execute("INCRBY", json!([key, -2])),
                    execute("RPUSH", json!([list, "x", "y"])),
                    execute("LRANGE", json!([list, 0, -1])),
                    execute("LRANGE", json!([unique::name("none"), 0, -1])),
                    execute("EVAL", json!([nested, 0])),
                ]))
                .await;
            let wanted = [
                json!([{ "status": "OK" }]),
                json!(["42"]),
                json!([null]),
                json!([40]),
                json!([2]),
                json!(["x", "y"]),
                json!([]),
                json!([1, "a", "b", null, { "status": "FINE" }]),
            ];
            assert_eq!(
                rest(&outcomes),
                wanted.iter().collect::<Vec<_>>(),
                "{guest}"
            );
        }
    });
}

#[test]
fn a_value_of_another_kind_is_a_type_error() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let (set, text) = (unique::name("set"), unique::name("text"));
            let outcomes = rig
                .probe(guest)
                .run(json!([
                    rig.valkey(),
                    with("sadd", &set, json!(["a"])),
                    with("set", &text, json!("not a number")),
                    on("get", &set),
                    on("incr", &set),
                    on("incr", &text),
                    with("sadd", &text, json!(["a"])),
                    on("smembers", &text),
                    with("srem", &text, json!(["a"])),
                    execute("LPUSH", json!([set, "a"])),
                ]))
                .await;
            for outcome in &outcomes[3..] {
                assert_eq!(
                    outcome,
                    &json!({ "err": "TypeError" }),
                    "{guest}: {outcomes:?}"
                );
            }
        }
    });
}

#[test]
fn an_error_of_the_server_comes_in_its_words() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let error = rig
                .probe(guest)
                .err(json!([rig.valkey(), execute("NOSUCH", json!([]))]))
                .await;
            assert!(
                error["Other"].as_str().unwrap().contains("unknown command"),
                "{error}"
            );
            let error = rig
                .probe(guest)
                .err(json!([rig.valkey(), execute("GET", json!([]))]))
                .await;
            assert!(
                error["Other"].as_str().unwrap().contains("arguments"),
                "{error}"
            );
        }
    });
}

#[test]
fn an_address_that_is_not_granted_cannot_be_opened() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            for address in [
                "redis://127.0.0.1:1",
                "redis://cache.example.com",
                "postgres://x",
                "what",
                "",
            ] {
                let error = rig.probe(guest).err(json!([open("c", address)])).await;
                assert_eq!(error, "InvalidAddress", "{guest}: {address}");
            }
        }
    });
}
