use std::process::Stdio;

use tokio::net::TcpStream;
use warmlink_tests::proxy::Proxy;
use warmlink_tests::{Api, Database, Host, HostOptions, Manifest, eventually, host, paths, run};

use super::{SOON, VARIABLES, free_address, plain, until_logged, until_said};

const POOL: &str = r#"
[[postgres]]
address = "{{ database_url }}"
min = 1
max = 1
"#;

#[test]
fn the_public_port_is_closed_until_everything_is_warm() {
    run(async {
        let database = Database::create().await;
        let proxy = Proxy::start(&database.authority()).await;
        proxy.hold();
        let address = free_address().await;
        let manifest = Manifest::one("http", VARIABLES).with_tool(POOL);
        let options = HostOptions::new(manifest)
            .database(&database.url_through(proxy.port()))
            .env("WARMLINK_LISTEN", &address.to_string());
        let host = Host::spawn(options);
        host.admin_bound().await;
        eventually("the database alone is waited for", SOON, || async {
            host.admin_api().get("/livez").await.expect(200);
            let ready = host.admin_api().get("/readyz").await.expect(503).value();
            assert_eq!(ready["ready"], false);
            let waiting = ready["waiting_for"].as_array().unwrap().clone();
            let names = |name: &str| {
                waiting
                    .iter()
                    .any(|it| it.as_str().unwrap().starts_with(name))
            };
            (names("postgres") && !names("components")).then_some(())
        })
        .await;
        host.admin_api().get("/table").await.expect(503);
        assert!(!host.is_open());
        TcpStream::connect(address).await.unwrap_err();

        proxy.release();
        assert_eq!(host.opened().await, address);
        let ready = host.admin_api().get("/readyz").await.expect(200).value();
        assert_eq!(ready["ready"], true);
        assert_eq!(ready["waiting_for"], serde_json::json!([]));
        // The very first request finds all of it there.
        host.api().get("/echo").await.expect(200);
    });
}

#[test]
fn migrations_run_before_the_port_opens() {
    run(async {
        let database = Database::create().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("V1__first.sql"),
            "CREATE TABLE first (a int4);",
        )
        .unwrap();
        std::fs::write(
            folder.path().join("V2__second.sql"),
            "ALTER TABLE first ADD b text;",
        )
        .unwrap();
        let directory = folder.path().to_str().unwrap();
        let tool = format!(
            "[migrations]\ndirectory = \"{directory}\"\naddress = \"{{{{ database_url }}}}\""
        );
        let manifest = Manifest::one("http", VARIABLES).with_tool(&tool);
        let options = || HostOptions::new(manifest.clone()).database(database.url());
        // Of several nodes that start together, one migrates.
        let (mut one, mut two, mut three) = futures::join!(
            Host::start(options()),
            Host::start(options()),
            Host::start(options()),
        );
        let observer = database.connect().await;
        observer
            .batch_execute("INSERT INTO first (a, b) VALUES (1, 'x')")
            .await
            .unwrap();
        let mut applied = 0;
        for host in [&mut one, &mut two, &mut three] {
            host.terminate().await;
            let lines = host.log().lines();
            applied += lines
                .iter()
                .filter(|line| line.contains("migration applied"))
                .count();
        }
        assert_eq!(applied, 2);
    });
}

#[test]
fn a_migration_that_fails_ends_the_start() {
    run(async {
        let database = Database::create().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("V1__bad.sql"),
            "CREATE TABLE t (a nonsense);",
        )
        .unwrap();
        let tool = format!(
            "[migrations]\ndirectory = \"{}\"\naddress = \"{{{{ database_url }}}}\"",
            folder.path().to_str().unwrap()
        );
        let manifest = Manifest::one("http", VARIABLES).with_tool(&tool);
        let mut host = Host::spawn(HostOptions::new(manifest).database(database.url()));
        assert!(!host.exit().await.success());
        until_said(&host, &["migration", "V1__bad", "nonsense"]).await;
        assert!(!host.is_open());
    });
}

#[test]
fn addresses_with_port_0_are_announced_with_their_real_ports() {
    run(async {
        let options = plain()
            .env("WARMLINK_LISTEN", "0.0.0.0:0")
            .env("WARMLINK_ADMIN_LISTEN", "[::1]:0");
        let host = Host::start(options).await;
        for address in [host.public(), host.admin()] {
            assert_ne!(address.port(), 0);
            // One that can be connected to, which the unspecified one is not.
            assert!(address.ip().is_loopback(), "{address}");
        }
        Api::new(host.public()).get("/echo").await.expect(200);
        Api::new(host.admin()).get("/livez").await.expect(200);
    });
}

#[test]
fn a_taken_port_is_an_error() {
    run(async {
        let first = Host::start(plain()).await;
        for (variable, address, name) in [
            ("WARMLINK_LISTEN", first.public(), "public"),
            ("WARMLINK_ADMIN_LISTEN", first.admin(), "admin"),
        ] {
            let mut second = Host::spawn(plain().env(variable, &address.to_string()));
            assert!(!second.exit().await.success(), "{name}");
            until_logged(&second, &[&address.to_string(), name]).await;
            assert!(!second.is_open());
        }
        first.api().get("/echo").await.expect(200);
    });
}

#[test]
fn a_host_whose_announcements_nobody_reads_serves_all_the_same() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("spin.toml");
        std::fs::write(&manifest, Manifest::one("http", "").text()).unwrap();
        let address = free_address().await;
        let env = [
            ("WARMLINK_LISTEN", address.to_string()),
            ("WARMLINK_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("WARMLINK_CACHE", paths::cache().display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let mut child = host::command(&env.into())
            .arg("up")
            .arg(&manifest)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        eventually("the public port is open", SOON, || async {
            let open = TcpStream::connect(address).await.is_ok();
            assert!(child.id().is_some());
            open.then_some(())
        })
        .await;
        Api::new(address).get("/echo").await.expect(200);
        child.kill().await.unwrap();
    });
}

#[test]
fn a_port_can_be_taken_again_right_after_its_host_has_ended() {
    run(async {
        let mut first = Host::start(plain()).await;
        let address = first.public();
        first.api().get("/echo").await.expect(200);
        assert!(first.terminate().await.success());
        let again = Host::start(plain().env("WARMLINK_LISTEN", &address.to_string())).await;
        assert_eq!(again.public(), address);
        again.api().get("/echo").await.expect(200);
    });
}

#[test]
fn a_second_start_finds_its_components_compiled() {
    run(async {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("compiled");
        let options = || plain().env("WARMLINK_CACHE", folder.to_str().unwrap());
        let compiled = || {
            let files = std::fs::read_dir(&folder)
                .unwrap()
                .map(|file| file.unwrap());
            let mut files: Vec<_> = files
                .map(|file| {
                    (
                        file.file_name(),
                        file.metadata().unwrap().modified().unwrap(),
                    )
                })
                .collect();
            files.sort();
            files
        };
        Host::start(options()).await;
        let first = compiled();
        assert_eq!(first.len(), 1);
        let host = Host::start(options()).await;
        assert_eq!(compiled(), first);
        host.api().get("/echo").await.expect(200);
        // What others could have written is not run.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&folder, open).unwrap();
        let mut refused = Host::spawn(options());
        assert!(!refused.exit().await.success());
        until_logged(&refused, &["compiled", "700"]).await;
    });
}
