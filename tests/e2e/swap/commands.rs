//! The commands as people and scripts give them.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use warmlink_tests::revisions::named;
use warmlink_tests::{Host, HostOptions, Manifest, paths, run};

use super::{LIMITS, host, name, warmlink};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn add(&self, name: &str, bytes: &[u8]) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }
}

#[test]
fn a_component_is_deployed_listed_and_rolled_back_in_words() {
    run(async {
        let host = host("").await;
        let files = Files::new();
        let new = files.add("new.wasm", &named("new", "ok"));
        let note = "faster, and \u{1f680}";
        let args = ["deploy", "rev", &new, "--note", note, "--wait"];
        let deployed = warmlink(&host, None, &args).await.expect(0);
        assert!(
            deployed.out.contains("rev") && deployed.out.contains("live on 1 node"),
            "{deployed:?}"
        );
        assert_eq!(name(&host.api()).await, "new");

        let listed = warmlink(&host, None, &["revisions", "rev"]).await.expect(0);
        for words in ["active", "previous", "from manifest", note] {
            assert!(listed.out.contains(words), "{words}: {}", listed.out);
        }
        assert!(!listed.out.contains('\u{1b}'), "no colours for a pipe");

        let status = warmlink(&host, None, &["status"]).await.expect(0);
        assert!(
            status.out.contains("WARMLINK_CONTROL_URL"),
            "{}",
            status.out
        );
        warmlink(&host, None, &["rollback", "rev"]).await.expect(0);
        assert_eq!(name(&host.api()).await, "original");
    });
}

#[test]
fn scripts_get_json_and_codes() {
    run(async {
        let host = host("").await;
        let files = Files::new();
        let new = files.add("new.wasm", &named("new", "ok"));
        let bad = files.add("bad.wasm", b"bad");
        let args = ["deploy", "rev", &new, "--canary", "25%", "--json"];
        let done = warmlink(&host, None, &args).await.expect(0).json();
        assert_eq!(done["canary"], 25.0);
        let status = warmlink(&host, None, &["status", "--json"])
            .await
            .expect(0)
            .json();
        assert_eq!(
            status["components"][0]["canary"]["revision"],
            done["revision"]
        );
        warmlink(&host, None, &["promote", "rev", "--json"])
            .await
            .expect(0);
        let rows = warmlink(&host, None, &["revisions", "rev", "--json"])
            .await
            .expect(0)
            .json();
        assert_eq!(rows["revisions"][0]["state"], "active");

        let digest = rows["revisions"][1]["revision"]
            .as_str()
            .unwrap()
            .to_owned();
        for (args, code, kind) in [
            (vec!["deploy", "rev", &bad], 65, "component"),
            (vec!["deploy", "rev", "no-such-file.wasm"], 66, "unreadable"),
            (vec!["deploy", "nobody", &new], 67, "not_found"),
            (vec!["rollback", "rev", "0000000000"], 67, "not_found"),
            (vec!["promote", "rev"], 75, "conflict"),
            (vec!["deploy", "rev", &new], 75, "conflict"),
        ] {
            let mut args = args;
            args.push("--json");
            let output = warmlink(&host, None, &args).await.expect(code);
            let error: Value = output.json();
            assert_eq!(error["kind"], kind, "{args:?}: {error}");
            assert!(!output.err.is_empty(), "people are told too");
        }
        warmlink(&host, None, &["deploy", "rev", &new, "--canary", "150%"])
            .await
            .expect(64);
        warmlink(&host, None, &["rollback", "rev", &digest[..8]])
            .await
            .expect(0);
        assert_eq!(name(&host.api()).await, "original");
        let nowhere = ["status", "--url", "http://127.0.0.1:9", "--json"];
        let output = warmlink(&host, None, &nowhere).await.expect(69);
        assert_eq!(output.json()["kind"], "unreachable");
    });
}

#[test]
fn the_token_is_read_from_the_environment_or_a_file() {
    run(async {
        let token = "0123456789abcdef0123456789abcdef";
        let options = HostOptions::new(Manifest::several(&[("rev", "revision", LIMITS)]))
            .env("WARMLINK_ADMIN_TOKEN", token);
        let host = Host::start(options).await;
        let files = Files::new();
        let new = files.add("new.wasm", &named("new", "ok"));
        let refused = warmlink(&host, None, &["deploy", "rev", &new])
            .await
            .expect(77);
        assert!(refused.err.contains("admin token"), "{refused:?}");
        warmlink(&host, Some("wrong-wrong-wrong"), &["status"])
            .await
            .expect(77);
        warmlink(&host, Some(token), &["deploy", "rev", &new])
            .await
            .expect(0);
        let file = files.add("token", format!("{token}\n").as_bytes());
        warmlink(&host, None, &["rollback", "rev", "--token-file", &file])
            .await
            .expect(0);
        assert_eq!(name(&host.api()).await, "original");
    });
}

#[test]
fn a_short_token_is_a_fault_that_names_its_variable() {
    run(async {
        let options =
            HostOptions::new(Manifest::one("revision", "")).env("WARMLINK_ADMIN_TOKEN", "short");
        let mut host = Host::spawn(options);
        assert_eq!(host.exit().await.code(), Some(64));
        let log = format!("{}", host.log());
        assert!(log.contains("WARMLINK_ADMIN_TOKEN"), "{log}");
    });
}

#[test]
fn redirect_itself_is_swapped_by_its_file() {
    run(async {
        let manifest = Manifest::application();
        let database = warmlink_tests::Database::create().await;
        let host = Host::start(HostOptions::new(manifest).database(database.url())).await;
        let files = Files::new();
        let built = paths::root().join("target/wasm32-wasip2/guest/redirect.wasm");
        let salted = warmlink_tests::revisions::salted(&built, "a change");
        let new = files.add("redirect.wasm", &salted);
        let url = serde_json::json!({ "original_url": "https://example.com/" });
        let url = host.api().post("/urls", &url).await.expect(201).value();
        let visit = warmlink_tests::rig::visit(&url);
        host.api().get(&visit).await.expect(302);
        warmlink(&host, None, &["deploy", "redirect", &new])
            .await
            .expect(0);
        host.api().get(&visit).await.expect(302);
    });
}
