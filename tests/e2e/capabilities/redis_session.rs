//! Commands that change a connection, block it, or span calls: a handle has a
//! connection of its own for them, and nobody else notices.

use futures::future::join;
use serde_json::{Value, json};
use warmlink_tests::probe::open;
use warmlink_tests::{run, unique};

use super::redis::execute;
use super::rig;

const BOTH: [&str; 2] = ["redis3", "redis2"];

fn of(handle: &str, command: &str, arguments: Value) -> Value {
    json!({ "execute": { "on": handle, "command": command, "arguments": arguments } })
}

#[test]
fn a_transaction_is_the_handles_own() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let key = unique::name("key");
            let outcomes = rig
                .probe(guest)
                .run(json!([
                    rig.valkey(),
                    open("d", rig.valkey),
                    of("c", "MULTI", json!([])),
                    of("c", "INCR", json!([key])),
                    of("d", "GET", json!([key])),
                    of("c", "INCR", json!([key])),
                    of("c", "EXEC", json!([])),
                    of("d", "GET", json!([key])),
                ]))
                .await;
            let found: Vec<_> = outcomes[3..].iter().map(|outcome| &outcome["ok"]).collect();
            let queued = json!([{ "status": "QUEUED" }]);
            let wanted = [
                &queued,
                &json!([null]),
                &queued,
                &json!([1, 2]),
                &json!(["2"]),
            ];
            assert_eq!(found, wanted, "{guest}");
        }
    });
}

#[test]
fn a_transaction_that_is_dropped_never_happens() {
    run(async {
        let (_host, rig) = rig().await;
        let key = unique::name("key");
        let probe = rig.probe("redis3");
        probe
            .ok(json!([
                rig.valkey(),
                execute("MULTI", json!([])),
                execute("INCR", json!([key]))
            ]))
            .await;
        let outcomes = probe
            .run(json!([
                rig.valkey(),
                execute("MULTI", json!([])),
                execute("INCR", json!([key])),
                { "close": "c" },
                rig.valkey(),
                execute("GET", json!([key])),
            ]))
            .await;
        assert_eq!(outcomes[5], json!({ "ok": [null] }), "{outcomes:?}");
    });
}

#[test]
fn a_watched_key_that_changes_fails_the_transaction() {
    run(async {
        let (_host, rig) = rig().await;
        let key = unique::name("key");
        let outcomes = rig
            .probe("redis3")
            .run(json!([
                rig.valkey(),
                open("d", rig.valkey),
                of("c", "WATCH", json!([key])),
                of("d", "SET", json!([key, "theirs"])),
                of("c", "MULTI", json!([])),
                of("c", "SET", json!([key, "mine"])),
                of("c", "EXEC", json!([])),
                of("d", "GET", json!([key])),
            ]))
            .await;
        assert_eq!(outcomes[6], json!({ "ok": [null] }), "{outcomes:?}");
        assert_eq!(outcomes[7], json!({ "ok": ["theirs"] }), "{outcomes:?}");
    });
}

#[test]
fn a_selected_database_is_selected_for_its_handle_alone() {
    run(async {
        let (_host, rig) = rig().await;
        let key = unique::name("key");
        let probe = rig.probe("redis3");
        let outcomes = probe
            .run(json!([
                rig.valkey(),
                open("d", rig.valkey),
                of("c", "SELECT", json!([3])),
                of("c", "SET", json!([key, "in three"])),
                of("d", "GET", json!([key])),
                { "close": "c" },
            ]))
            .await;
        assert_eq!(outcomes[4], json!({ "ok": [null] }), "{outcomes:?}");
        // Whoever gets a connection of its own next, gets a clean one.
        let read = json!([
            rig.valkey(),
            execute("MULTI", json!([])),
            execute("GET", json!([key])),
            execute("EXEC", json!([])),
        ]);
        assert_eq!(probe.ok(read).await, json!([null]));
    });
}

#[test]
fn a_command_that_blocks_holds_up_nobody() {
    run(async {
        let (_host, rig) = rig().await;
        let list = unique::name("list");
        let probe = rig.probe("redis3");
        let pops = execute("BLPOP", json!([list, 20]));
        let waiting = async { probe.ok(json!([rig.valkey(), pops])).await };
        let others = async {
            // Far more commands than there are shared connections.
            for _ in 0..50 {
                probe
                    .ok(json!([rig.valkey(), execute("PING", json!([]))]))
                    .await;
            }
            probe
                .ok(json!([
                    rig.valkey(),
                    execute("RPUSH", json!([list, "at last"]))
                ]))
                .await;
        };
        let (popped, ()) = join(waiting, others).await;
        assert_eq!(popped, json!([list, "at last"]));
    });
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            for command in ["SUBSCRIBE", "MONITOR", "QUIT", "RESET"] {
                let arguments = if command == "SUBSCRIBE" {
                    json!(["x"])
                } else {
                    json!([])
                };
                let steps = json!([rig.valkey(), execute(command, arguments)]);
                let error = rig.probe(guest).err(steps).await;
                let text = error["Other"].as_str().unwrap_or_else(|| panic!("{error}"));
                assert!(text.contains(command), "{guest}: {error}");
                // And the shared connections are as they were.
                rig.probe(guest)
                    .ok(json!([rig.valkey(), execute("PING", json!([]))]))
                    .await;
            }
        }
    });
}

#[test]
fn connections_of_their_own_are_bounded() {
    run(async {
        let (_host, rig) = rig().await;
        let handles: Vec<_> = (0..40).map(|number| format!("h{number}")).collect();
        let mut steps: Vec<_> = handles.iter().map(|name| open(name, rig.valkey)).collect();
        steps.extend(handles.iter().map(|name| of(name, "MULTI", json!([]))));
        steps.push(of("h39", "PING", json!([])));
        let outcomes = rig.probe("redis3").run(json!(steps)).await;
        let refused = json!({ "err": "TooManyConnections" });
        let begun = outcomes[40..80]
            .iter()
            .filter(|outcome| outcome.get("ok").is_some())
            .count();
        let count = outcomes[40..80]
            .iter()
            .filter(|outcome| **outcome == refused)
            .count();
        assert!(
            begun >= 1 && count >= 1 && begun + count == 40,
            "{outcomes:?}"
        );
        // A handle without one still has the shared connections.
        assert_eq!(outcomes[80], json!({ "ok": [{ "status": "PONG" }] }));
    });
}
