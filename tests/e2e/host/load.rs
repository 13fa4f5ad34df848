//! Components that cannot be loaded: the host does not start, and says which,
//! where and why.

use std::path::Path;

use warmlink_tests::{Host, HostOptions, Manifest, run};

use super::until_said;

async fn refused(manifest: Manifest, step: &str, reason: &[&str]) {
    let mut host = Host::spawn(HostOptions::new(manifest));
    let status = host.exit().await;
    assert_eq!(status.code(), Some(1), "{status}");
    let component = "component `probe`";
    let step = format!("({step})");
    let parts: Vec<_> = [component, &step]
        .into_iter()
        .chain(reason.iter().copied())
        .collect();
    until_said(&host, &parts).await;
    assert!(!host.is_open());
}

/// A manifest whose component is this file.
fn file(path: &Path) -> Manifest {
    Manifest::one(path.to_str().unwrap(), "")
}

#[test]
fn a_file_that_is_not_there() {
    run(async {
        refused(
            file(Path::new("/no/such/probe.wasm")),
            "read",
            &["/no/such/probe.wasm"],
        )
        .await;
    });
}

#[test]
fn bytes_that_are_no_component() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.wasm");
        std::fs::write(&path, "not wasm at all").unwrap();
        refused(file(&path), "compile", &["not a WebAssembly file"]).await;
        // A module is none, either.
        std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
        refused(file(&path), "compile", &["not a component"]).await;
    });
}

#[test]
fn a_component_without_a_handler() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.wasm");
        // The empty component.
        std::fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
        refused(file(&path), "verify", &["exports no HTTP handler"]).await;
    });
}

#[test]
fn an_import_that_nobody_provides() {
    run(async {
        refused(
            Manifest::one("foreign", ""),
            "verify",
            &["probe:foreign/elsewhere@1.0.0"],
        )
        .await;
    });
}

#[test]
fn an_import_that_the_manifest_does_not_grant() {
    run(async {
        for (guest, import, key) in [
            (
                "postgres42",
                "spin:postgres/postgres@4.2.0",
                "allowed_outbound_hosts",
            ),
            (
                "postgres3",
                "spin:postgres/postgres@3.0.0",
                "allowed_outbound_hosts",
            ),
            ("redis3", "spin:redis/redis@3.0.0", "allowed_outbound_hosts"),
            (
                "redis2",
                "fermyon:spin/redis@2.0.0",
                "allowed_outbound_hosts",
            ),
            ("kv3", "spin:key-value/key-value@3.0.0", "key_value_stores"),
            ("kv2", "fermyon:spin/key-value@2.0.0", "key_value_stores"),
        ] {
            refused(Manifest::one(guest, ""), "verify", &[import, key]).await;
        }
        // A grant of another scheme is none.
        let manifest = Manifest::one(
            "postgres42",
            "allowed_outbound_hosts = [\"redis://127.0.0.1:1\"]",
        );
        refused(manifest, "verify", &["spin:postgres/postgres@4.2.0"]).await;
    });
}

#[test]
fn a_component_that_traps_as_it_starts() {
    run(async {
        refused(Manifest::one("start", ""), "warm", &["unreachable"]).await;
    });
}

#[test]
fn a_component_that_does_not_fit_its_limits() {
    run(async {
        for limit in ["memory = \"64KiB\"", "table_elements = 1"] {
            let keys = format!("[component.probe.tool.warmlink]\n{limit}");
            let mut host = Host::spawn(HostOptions::new(Manifest::one("http", &keys)));
            assert_eq!(host.exit().await.code(), Some(1), "{limit}");
            let what = limit.split([' ', '_']).next().unwrap();
            until_said(&host, &["component `probe`", what]).await;
        }
    });
}

#[test]
fn one_bad_component_among_good_ones_is_enough() {
    run(async {
        let manifest = Manifest::several(&[("good", "http", ""), ("bad", "start", "")]);
        let mut host = Host::spawn(HostOptions::new(manifest));
        assert_eq!(host.exit().await.code(), Some(1));
        until_said(&host, &["component `bad`", "(warm)"]).await;
        assert!(!host.is_open());
    });
}
