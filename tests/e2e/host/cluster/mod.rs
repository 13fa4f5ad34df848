//! What the manifests under `k8s/` rely on, asked of the binary. Their numbers are read from
//! there: whoever changes one finds out here whether the host keeps it.

mod cores;
mod ending;
mod environment;
mod memory;
mod phases;
mod sandbox;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::Path;

use serde_json::json;
use tokio::net::TcpStream;
use warmlink_tests::daemonset::{DaemonSet, Probe, Source};
use warmlink_tests::{Api, Host, eventually, paths, rig};

use super::SOON;

/// As long as the host asks for, and no secret of anybody's.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NODE: &str = "node-a.example";

/// Whether this probe succeeds: an answer of success, while kubelet bears with the host.
async fn succeeds(admin: &Api, probe: &Probe) -> bool {
    let asked = tokio::time::timeout(probe.patience(), admin.get(&probe.path)).await;
    asked.is_ok_and(|reply| reply.status.is_success())
}

/// The environment of the manifests, but for ports, which other tests have, too. Secrets are
/// looked up by name and key.
fn environment(set: &DaemonSet, secrets: &[(&str, &str, &str)]) -> BTreeMap<String, String> {
    let mut all = set.environment(|source| match source {
        Source::Secret(name, key) => {
            let found = secrets.iter().find(|it| (it.0, it.1) == (name, key));
            let Some((_, _, value)) = found else {
                panic!("no {key} of the Secret {name}");
            };
            (*value).to_owned()
        }
        Source::Field(path) => {
            assert_eq!(path, "spec.nodeName");
            NODE.to_owned()
        }
        Source::Text(_) => unreachable!("it is its own value"),
    });
    for (name, port) in [("WARMLINK_LISTEN", 3000), ("WARMLINK_ADMIN_LISTEN", 3001)] {
        let value = all.get_mut(name).expect("it is told where to listen");
        let (address, wanted) = value.rsplit_once(':').expect("an address and a port");
        assert_eq!(wanted, port.to_string(), "containerPort and {name}");
        *value = format!("{address}:0");
    }
    all
}

/// A state folder as a host leaves it that has served the application before: compiled code,
/// which is not what is tested here, and takes seconds.
async fn compiled_before(state: &Path, owner: [u32; 2]) {
    let (application, _) = rig::application().await;
    let table = application.admin_api().get("/table").await.expect(200);
    let table = table.value();
    let components = table["components"].as_array().unwrap();
    let of_the_application = |name: &str| {
        let digests = components.iter().map(|it| it["revision"].as_str().unwrap());
        name.ends_with(".sealed") && digests.clone().any(|digest| name.starts_with(digest))
    };
    let cache = state.join("cache");
    fs::DirBuilder::new().mode(0o700).create(&cache).unwrap();
    chown(&cache, Some(owner[0]), Some(owner[1])).unwrap();
    for entry in fs::read_dir(paths::cache()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if of_the_application(&name) {
            let copy = cache.join(&name);
            fs::copy(entry.path(), &copy).unwrap();
            chown(&copy, Some(owner[0]), Some(owner[1])).unwrap();
        }
    }
}

/// It does what it is for, as `scripts/smoke.sh` has it.
async fn assert_serves(host: &Host) {
    let api = host.api();
    let health = api.get("/health").await.expect(200).value();
    assert_eq!(health["database"], "ok", "{health}");
    let url = rig::a_url(&api).await;
    let visit = api.get(&rig::visit(&url)).await.expect(302);
    assert_eq!(visit.header("location"), url["original_url"].as_str());
    api.delete(&rig::path("urls", &url)).await.expect(204);
    // What the deploy asks the nodes: a command, by token.
    let status = host.admin_api().get("/v1/status").await;
    assert!(status.status.is_client_error(), "{}", status.text());
}

async fn until_closed(address: std::net::SocketAddr) {
    eventually("the port is closed", SOON, || async {
        TcpStream::connect(address).await.err()
    })
    .await;
}

/// Every line of the log is an object, as whoever collects them reads them.
fn assert_objects(host: &Host) {
    for line in host.log().lines() {
        if !line.starts_with("[stdout]") {
            let read: Result<serde_json::Value, _> = serde_json::from_str(&line);
            assert!(read.is_ok_and(|it| it != json!(null)), "no object: {line}");
        }
    }
}
