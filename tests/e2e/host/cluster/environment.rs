//! The manifests' own environment, all of it, and nothing else: a host that serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command as Checked;
use std::time::SystemTime;

use tokio::process::Command;
use warmlink_tests::daemonset::DaemonSet;
use warmlink_tests::database::connect;
use warmlink_tests::revisions::salted;
use warmlink_tests::services::{Services, shared_postgres, shared_valkey, signal};
use warmlink_tests::tls::{Authority, Opening};
use warmlink_tests::{Control, Database, Host, Manifest, address, host, paths, run};

use super::sandbox::{self, Sandbox, assert_confined, assert_state};
use super::{NODE, TOKEN, assert_objects, assert_serves, compiled_before, environment};

/// Where the database is, by the name that the manifests call it.
const DATABASE: &str = "warmlink-postgres-rw:5432";
const PASSWORD: &str = "aFreshOneOf32LettersAndDigits000";

#[test]
fn with_servers_of_ones_own_the_base_alone_serves() {
    run(async {
        let set = DaemonSet::base();
        let database = Database::create().await;
        let valkey = shared_valkey().await.valkey_url();
        let mut env = environment(
            &set,
            &[
                ("warmlink", "admin-token", TOKEN),
                ("warmlink", "database-url", database.url()),
                ("warmlink", "valkey-url", valkey),
                ("warmlink", "control-url", database.control_url()),
            ],
        );
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let owner = fs::metadata(&state).unwrap();
        compiled_before(&state, [owner.uid(), owner.gid()]).await;
        // The manifests' own is where a volume is mounted.
        env.insert("WARMLINK_STATE".to_owned(), state.display().to_string());
        let manifest = folder.path().join("spin.toml");
        fs::write(&manifest, Manifest::application().text()).unwrap();
        let mut command = Command::new(paths::binary());
        command
            .args(set.arguments())
            .current_dir(folder.path())
            .env_clear()
            .envs(&env);
        let mut host = Host::launch(command, folder);
        host.opened().await;
        assert_serves(&host).await;
        assert_told(&host, &env).await;
        assert_eq!(names_in(&database.connect().await).await, called());
        assert_eq!(host.terminate().await.code(), Some(0));
        assert_objects(&host);
        assert!(!host.log().to_string().contains("do not fit"));
    });
}

/// What the host is called where it connects: its pool, and what nodes share.
fn called() -> BTreeSet<String> {
    [format!("warmlink/{NODE}"), "warmlink/fleet".to_owned()].into()
}

async fn names_in(observer: &tokio_postgres::Client) -> BTreeSet<String> {
    let sql = "SELECT DISTINCT application_name FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name <> 'observer'";
    let rows = observer.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// It took the token and the node's name; `kubectl exec` has the same environment.
async fn assert_told(host: &Host, env: &BTreeMap<String, String>) {
    let status = Control::at(host.admin(), Some(TOKEN)).status().await;
    let names: Vec<_> = status["nodes"].as_object().unwrap().keys().collect();
    assert_eq!(names, [NODE], "{status}");
    assert_eq!(status["control"]["shared"], true, "{status}");
    assert_eq!(status["control"]["reachable"], true, "{status}");
    let env = env.clone().into_iter().collect();
    let mut command = host::command(&env);
    let output = command
        .args(["status", "--url"])
        .arg(format!("http://{}", host.admin()))
        .output()
        .await
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(NODE), "{said}");
}

/// Makes the database and the role that the manifests' addresses name, in a server that has
/// the other role; its password.
async fn as_the_cluster_has_it(services: &Services) -> String {
    let admin = connect(services.database_admin_url()).await;
    for sql in [
        &format!("CREATE ROLE warmlink LOGIN PASSWORD '{PASSWORD}'"),
        "CREATE DATABASE warmlink OWNER warmlink",
    ] {
        admin.batch_execute(sql).await.unwrap();
    }
    let mut inside: url::Url = services.database_admin_url().parse().unwrap();
    inside.set_path("warmlink");
    let inside = connect(inside.as_str()).await;
    let sql = "CREATE SCHEMA warmlink AUTHORIZATION warmlink_control; \
               REVOKE ALL ON SCHEMA warmlink FROM PUBLIC";
    inside.batch_execute(sql).await.unwrap();
    let control: url::Url = services.control_url().parse().unwrap();
    control.password().unwrap().to_owned()
}

#[test]
fn as_in_a_container_with_the_clusters_database_it_serves_and_compiles() {
    run(async {
        let set = DaemonSet::base().patched_by("postgres");
        let services = shared_postgres().await;
        let control = as_the_cluster_has_it(services).await;
        let authority = Authority::new();
        let (name, port) = DATABASE.split_once(':').unwrap();
        let target = address::authority(services.database_url());
        let relay = authority.relay(name, Opening::Postgres, &target).await;
        let mut files = sandbox::application();
        files.push((
            "/etc/hosts".to_owned(),
            format!("127.0.0.1 {name}\n").into_bytes(),
        ));
        files.push((
            "/etc/nsswitch.conf".to_owned(),
            b"hosts: files dns\n".to_vec(),
        ));
        let ca = format!("{}/ca.crt", set.mounted_at("postgres-ca"));
        files.push((ca.clone(), authority.pem().as_bytes().to_vec()));
        let mut env = environment(
            &set,
            &[
                ("warmlink", "admin-token", TOKEN),
                ("warmlink", "valkey-url", shared_valkey().await.valkey_url()),
                ("warmlink-postgres-app", "password", PASSWORD),
                ("warmlink-control", "password", &control),
            ],
        );
        for name in ["DATABASE_URL", "WARMLINK_CONTROL_URL"] {
            let url = env.get_mut(name).unwrap();
            assert!(url.contains(&ca), "{name} trusts another authority");
            // Its name stays; the port is another test's, too.
            let through = format!(":{}/", relay.port());
            *url = url.replace(&format!(":{port}/"), &through);
        }
        let [user, group, _] = set.identity();
        let Some(sandbox) = Sandbox::new(set, &files) else {
            return;
        };
        compiled_before(&sandbox.state(), [user, group]).await;
        let mut host = sandbox.start(&env).await;
        host.opened().await;
        let set = DaemonSet::base();
        assert_confined(&host, &set);
        assert_serves(&host).await;
        assert_told(&host, &env).await;
        // Compiled by a process of its own, which the root, the user and the rest allow.
        let file = paths::root().join("target/wasm32-wasip2/guest/health.wasm");
        let control = Control::at(host.admin(), Some(TOKEN));
        control.deploy("health", salted(&file, "again")).await;
        host.api().get("/health").await.expect(200);
        assert_state(&sandbox.state(), &set);
        assert_eq!(host.terminate().await.code(), Some(0));
        assert_objects(&host);
    });
}

#[test]
fn a_container_that_is_started_again_finds_its_state_whatever_ended_it() {
    run(async {
        let set = DaemonSet::base();
        let env = environment(
            &set,
            &[
                ("warmlink", "admin-token", TOKEN),
                ("warmlink", "database-url", "postgres://a@127.0.0.1:9/b"),
                ("warmlink", "valkey-url", ""),
                ("warmlink", "control-url", ""),
            ],
        );
        let Some(sandbox) = Sandbox::new(set, &sandbox::guest()) else {
            return;
        };
        let set = DaemonSet::base();
        let compiled = || {
            let files = fs::read_dir(sandbox.state().join("cache")).unwrap();
            files
                .map(|file| {
                    let file = file.unwrap();
                    (
                        file.file_name(),
                        file.metadata().unwrap().modified().unwrap(),
                    )
                })
                .collect::<BTreeMap<_, SystemTime>>()
        };
        // Empty, as it is in a new pod.
        let mut host = sandbox.start(&env).await;
        host.opened().await;
        host.api().get("/echo").await.expect(200);
        assert_confined(&host, &set);
        assert_state(&sandbox.state(), &set);
        let first = compiled();
        assert_eq!(first.len(), 1);
        // By the kernel, for want of memory, or by kubelet.
        signal(host.pid(), "KILL");
        assert!(!host.exit().await.success());
        // What it had begun to write when it was killed.
        let rest = sandbox.state().join("cache/.tmpA1b2C3");
        fs::write(&rest, [0; 4096]).unwrap();
        let [user, group, _] = set.identity();
        std::os::unix::fs::chown(&rest, Some(user), Some(group)).unwrap();

        for _ in 0..2 {
            let mut host = sandbox.start(&env).await;
            host.opened().await;
            host.api().get("/echo").await.expect(200);
            assert_eq!(host.terminate().await.code(), Some(0));
            assert_objects(&host);
        }
        let mut again = compiled();
        again.retain(|name, _| first.contains_key(name));
        assert_eq!(again, first, "it was compiled again");
    });
}

#[test]
fn what_these_tests_read_is_what_is_rendered() {
    let rendered = Checked::new("kubectl")
        .arg("kustomize")
        .arg(paths::root().join("k8s/overlays/homelab"))
        .output();
    let Ok(rendered) = rendered else {
        eprintln!("SKIPPED: rendered manifests: there is no kubectl");
        return;
    };
    assert!(rendered.status.success(), "{rendered:?}");
    let rendered = DaemonSet::rendered(&String::from_utf8(rendered.stdout).unwrap());
    let set = DaemonSet::base()
        .patched_by("postgres")
        .patched_by("valkey");
    assert_eq!(set.variables(), rendered.variables());
    assert_eq!(set.arguments(), rendered.arguments());
    assert_eq!(set.identity(), rendered.identity());
    assert_eq!(set.grace(), rendered.grace());
    assert_eq!(set.memory_limit(), rendered.memory_limit());
    assert_eq!(set.cpu_limit(), rendered.cpu_limit());
    assert_eq!(set.mounts(), rendered.mounts());
}
