//! What a component has by its manifest, and nothing beside it: no file, no socket, no
//! variable, and nothing of another component's.

use std::fs;
use std::io::ErrorKind::WouldBlock;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::{Host, HostOptions, Manifest, paths, run, services};

async fn lone(keys: &str) -> (Host, Probe) {
    let options = HostOptions::new(Manifest::one("system", keys));
    let host = Host::start(options.env("OF_THE_HOST", "a secret")).await;
    let probe = Probe::new(host.api(), "/");
    (host, probe)
}

/// Each of the steps fails by itself.
async fn refused(probe: &Probe, steps: Vec<Value>) {
    let outcomes = probe.run(json!(steps)).await;
    for (step, outcome) in steps.iter().zip(&outcomes) {
        assert!(outcome.get("err").is_some(), "{step}: {outcome}");
    }
    assert_eq!(outcomes.len(), steps.len());
}

/// Reads it, lists it, and writes it.
fn touch(path: &str) -> [Value; 3] {
    [
        json!({ "read": path }),
        json!({ "list": path }),
        json!({ "write": path }),
    ]
}

#[test]
fn without_a_grant_there_is_no_file() {
    run(async {
        let (host, probe) = lone("").await;
        let folder = host.folder();
        let manifest = folder.join("spin.toml");
        let before = fs::read(&manifest).unwrap();
        let paths = [
            "/",
            ".",
            "..",
            "/etc/passwd",
            "/proc/self/environ",
            "/tmp",
            "spin.toml",
            "../spin.toml",
            folder.to_str().unwrap(),
            manifest.to_str().unwrap(),
            paths::cache().to_str().unwrap(),
        ]
        .map(touch);
        refused(&probe, paths.concat()).await;
        assert_eq!(fs::read(&manifest).unwrap(), before);
    });
}

#[test]
fn of_a_granted_folder_there_is_what_lies_in_it_to_be_read() {
    run(async {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("granted");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("in"), "inside").unwrap();
        fs::write(around.path().join("out"), "outside").unwrap();
        symlink(around.path().join("out"), folder.join("absolute")).unwrap();
        symlink("../out", folder.join("relative")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        let keys = format!("files = [{{ source = {folder:?}, destination = \"/data\" }}]");
        let (_host, probe) = lone(&keys).await;
        assert_eq!(probe.ok(json!([{ "read": "/data/in" }])).await, "inside");
        let seen = probe.ok(json!([{ "environment3": null }])).await;
        assert_eq!(seen["folders"], json!(["/data"]));
        let paths = [
            "/data/../out",
            "/data/absolute",
            "/data/relative",
            "/data/up",
            "/data/up/out",
            "/data/up/granted/in",
            "/out",
            "/",
        ]
        .map(touch);
        refused(&probe, paths.concat()).await;
        // It is read only.
        let writes = ["/data/in", "/data/new"].map(|path| json!({ "write": path }));
        refused(&probe, writes.to_vec()).await;
        assert_eq!(fs::read(folder.join("in")).unwrap(), b"inside");
        assert_eq!(fs::read(around.path().join("out")).unwrap(), b"outside");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
    });
}

#[test]
fn no_grant_opens_a_socket() {
    run(async {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let (there, sent) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        // What may be asked over HTTP is no more than that.
        let granted = format!("allowed_outbound_hosts = [\"http://{there}\", \"*://{sent}\"]");
        for keys in ["", &granted] {
            let (_host, probe) = lone(keys).await;
            let steps = [
                json!({ "connect": there.to_string() }),
                json!({ "connect3": there.port() }),
                json!({ "connect": sent.to_string() }),
                json!({ "send": sent.to_string() }),
                json!({ "send3": sent.port() }),
                json!({ "listen": "127.0.0.1:0" }),
                json!({ "listen3": 0 }),
                json!({ "resolve": "localhost:80" }),
                json!({ "resolve3": "localhost" }),
            ];
            refused(&probe, steps.to_vec()).await;
            // A connection would be there, and a datagram too, before its sender's answer.
            assert_eq!(tcp.accept().unwrap_err().kind(), WouldBlock);
            assert_eq!(udp.recv(&mut [0]).unwrap_err().kind(), WouldBlock);
        }
    });
}

#[test]
fn the_environment_is_what_the_manifest_says_and_there_are_no_arguments() {
    run(async {
        for (keys, wanted) in [
            ("", json!([])),
            (
                "environment = { GIVEN = \"as it is\" }",
                json!([["GIVEN", "as it is"]]),
            ),
        ] {
            let (_host, probe) = lone(keys).await;
            for step in ["environment", "environment3"] {
                let seen = probe.ok(json!([{ step: null }])).await;
                assert_eq!(seen["variables"], wanted, "{step}");
                assert_eq!(seen["arguments"], json!([]), "{step}");
            }
        }
    });
}

/// A guest twice, `one` with a grant and `two` with another.
async fn two(guest: &str, one: &str, two: &str, more: &str) -> (Host, [Probe; 2]) {
    let mut text = more.to_owned();
    for (name, keys) in [("one", one), ("two", two)] {
        text.push_str(&format!(
            "[[trigger.http]]\nroute = \"/{name}/...\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"{guest}\"\n{keys}\n"
        ));
    }
    let valkey = services::shared_valkey().await.valkey_url();
    let host = Host::start(HostOptions::new(Manifest::guests(&text)).valkey(valkey)).await;
    let probes = ["/one", "/two"].map(|path| Probe::new(host.api(), path));
    (host, probes)
}

#[test]
fn a_variable_of_another_component_is_undefined() {
    run(async {
        let given = |name| format!("variables = {{ {name} = \"of {name}\" }}");
        for guest in ["variables3", "variables2"] {
            let (_host, [one, two]) = two(guest, &given("first"), &given("second"), "").await;
            for (probe, own, other) in [(&one, "first", "second"), (&two, "second", "first")] {
                let found = probe.ok(json!([{ "get": own }])).await;
                assert_eq!(found, format!("of {own}"));
                let error = probe.err(json!([{ "get": other }])).await;
                assert!(error["Undefined"].is_string(), "{guest}: {error}");
            }
        }
    });
}

#[test]
fn a_store_of_another_component_is_denied() {
    run(async {
        let stores = "[variables]\nvalkey_url = { required = true, secret = true }\n\
             [[application.tool.warmlink.valkey]]\naddress = \"{{ valkey_url }}\"\n";
        let given = |label| format!("key_value_stores = [\"{label}\"]");
        for guest in ["kv3", "kv2"] {
            let (_host, [one, two]) = two(guest, &given("first"), &given("second"), stores).await;
            let opens = |label: &str| json!([{ "open": { "name": "s", "label": label } }]);
            for (probe, own, other) in [(&one, "first", "second"), (&two, "second", "first")] {
                probe.ok(opens(own)).await;
                assert_eq!(probe.err(opens(other)).await, "AccessDenied", "{guest}");
            }
        }
    });
}

#[test]
fn a_server_of_another_component_cannot_be_opened() {
    run(async {
        let valkey = services::shared_valkey().await.valkey_url();
        let granted = "allowed_outbound_hosts = [\"{{ valkey_origin }}\"]";
        let origin = "[variables]\nvalkey_origin = { required = true }\n";
        for guest in ["redis3", "redis2"] {
            let (_host, [one, two]) = two(guest, granted, granted_to_none(), origin).await;
            one.ok(json!([open("c", valkey)])).await;
            two.err(json!([open("c", valkey)])).await;
        }
    });
}

/// Without any address the import itself would be refused.
fn granted_to_none() -> &'static str {
    "allowed_outbound_hosts = [\"redis://127.0.0.1:1\"]"
}
