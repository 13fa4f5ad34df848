//! `spin:key-value@3.0.0` and `fermyon:spin/key-value@2.0.0`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use warmlink_tests::probe::Probe;
use warmlink_tests::{Host, HostOptions, Manifest, run, unique};

use super::{Rig, rig};

const BOTH: [&str; 2] = ["kv3", "kv2"];

fn open(label: &str) -> Value {
    json!({ "open": { "name": "s", "label": label } })
}

fn named(call: &str, key: &str) -> Value {
    json!({ call: { "on": "s", "key": key } })
}

fn set(key: &str, value: &[u8]) -> Value {
    json!({ "set": { "on": "s", "key": key, "value": value } })
}

async fn observer(rig: &Rig) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(rig.valkey).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[test]
fn a_value_is_there_from_set_to_delete() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            let key = unique::name("key");
            let value = [0_u8, 255, 10, 13];
            let outcomes = rig
                .probe(guest)
                .run(json!([
                    open("default"),
                    named("get", &key),
                    named("exists", &key),
                    set(&key, &value),
                    named("get", &key),
                    named("exists", &key),
                    set(&key, b""),
                    named("get", &key),
                    named("delete", &key),
                    named("get", &key),
                    named("exists", &key),
                    named("delete", &key),
                    { "close": "s" },
                ]))
                .await;
            let ok: Vec<_> = outcomes[1..].iter().map(|outcome| &outcome["ok"]).collect();
            let gone = Value::Null;
            let wanted = [
                &gone,
                &json!(false),
                &gone,
                &json!(value),
                &json!(true),
                &gone,
                &json!([]),
                &gone,
                &gone,
                &json!(false),
                &gone,
                &gone,
            ];
            assert_eq!(ok, wanted, "{guest}: {outcomes:?}");
            assert!(
                outcomes.iter().all(|outcome| outcome.get("ok").is_some()),
                "{outcomes:?}"
            );
        }
    });
}

#[test]
fn a_store_sees_its_own_keys_alone() {
    run(async {
        let (_host, rig) = rig().await;
        let mut valkey = observer(rig).await;
        for guest in BOTH {
            let key = unique::name("apart");
            let probe = rig.probe(guest);
            probe.ok(json!([open("default"), set(&key, b"here")])).await;
            assert_eq!(
                probe.ok(json!([open("other"), named("get", &key)])).await,
                Value::Null
            );
            // Neither a key of the server's nor another store's, however it is spelled.
            let foreign = format!("kv:default:{key}");
            assert_eq!(
                probe
                    .ok(json!([open("other"), named("get", &foreign)]))
                    .await,
                Value::Null
            );
            let stored: Vec<u8> = redis::cmd("GET")
                .arg(format!("kv:default:{key}"))
                .query_async(&mut valkey)
                .await
                .unwrap();
            assert_eq!(stored, b"here");
        }
    });
}

#[test]
fn all_keys_of_a_store_are_named() {
    run(async {
        let manifest = |guest: &str| {
            Manifest::one(
                guest,
                "key_value_stores = [\"many\"]\n[variables]\nvalkey_url = { required = true, secret = true }",
            )
            .with_tool("[key_value.many]\naddress = \"{{ valkey_url }}\"\nprefix = \"many[*]:\"")
        };
        let (_host, rig) = rig().await;
        let mut valkey = observer(rig).await;
        let mut pipe = redis::pipe();
        for number in 0..3000 {
            pipe.set(format!("many[*]:key {number}"), "x").ignore();
        }
        // Not of the store: its prefix is no pattern.
        pipe.set("manyx:stranger", "x").ignore();
        pipe.query_async::<()>(&mut valkey).await.unwrap();
        let wanted: BTreeSet<_> = (0..3000).map(|number| format!("key {number}")).collect();
        for guest in BOTH {
            let options = HostOptions::new(manifest(guest)).valkey(rig.valkey);
            let host = Host::start(options).await;
            let probe = Probe::new(host.api(), "/");
            let keys = probe.ok(json!([open("many"), { "get_keys": "s" }])).await;
            let found: BTreeSet<_> = keys
                .as_array()
                .unwrap()
                .iter()
                .map(|key| key.as_str().unwrap().to_owned())
                .collect();
            assert_eq!(found, wanted, "{guest}");
        }
    });
}

#[test]
fn a_store_that_was_not_granted_is_denied() {
    run(async {
        let (_host, rig) = rig().await;
        for guest in BOTH {
            for label in ["secret", "", "kv:default:"] {
                let error = rig.probe(guest).err(json!([open(label)])).await;
                assert_eq!(error, "AccessDenied", "{guest}: {label:?}");
            }
        }
    });
}

#[test]
fn a_node_without_valkey_says_so_when_a_store_is_opened() {
    run(async {
        let manifest = Manifest::one(
            "kv3",
            "key_value_stores = [\"default\"]\n[variables]\nvalkey_url = { default = \"\", secret = true }",
        )
        .with_tool("[key_value.default]\naddress = \"{{ valkey_url }}\"\nprefix = \"kv:\"");
        let host = Host::start(HostOptions::new(manifest).valkey("")).await;
        let probe = Probe::new(host.api(), "/");
        let error = probe.err(json!([open("default")])).await;
        assert!(!error.is_null());
    });
}
