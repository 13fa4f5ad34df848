//! `warmlink up --watch`: what a developer saves is what is served.

use std::path::PathBuf;
use std::time::Duration;

use warmlink_tests::revisions::named;
use warmlink_tests::{Control, Host, HostOptions, Manifest, eventually, run};

use super::name;

/// A build is a copy here, but a busy machine is a busy machine.
const BUILT: Duration = Duration::from_secs(20);

const MANIFEST: &str = "\
[[trigger.http]]
route = \"/rev/...\"
component = \"rev\"
[component.rev]
source = \"built/rev.wasm\"
[component.rev.build]
command = \"sh build.sh\"
watch = [\"src/**/*\"]
[component.rev.tool.warmlink]
reuse = 4096
concurrency = 16
";

/// A project whose source is the component and whose build copies it.
async fn project() -> Host {
    start(|options| options.flag("--watch")).await
}

async fn start(as_is: impl FnOnce(HostOptions) -> HostOptions) -> Host {
    let build = b"set -e\nif [ -e src/broken ]; then echo 'error: it is broken' >&2; exit 1; fi\n\
                  cp src/rev.wasm built/rev.wasm\n";
    let options = HostOptions::new(Manifest::guests(MANIFEST))
        .file("src/rev.wasm", named("first", "ok"))
        .file("built/rev.wasm", named("first", "ok"))
        .file("build.sh", build.to_vec());
    Host::start(as_is(options)).await
}

fn at(host: &Host, path: &str) -> PathBuf {
    host.folder().join(path)
}

async fn until_it_answers(host: &Host, wanted: &str) {
    let api = host.api();
    eventually(&format!("{wanted} answers"), BUILT, || async {
        (name(&api).await == wanted).then_some(())
    })
    .await;
}

async fn until_it_says(host: &Host, text: &str) -> String {
    eventually(&format!("the terminal says {text:?}"), BUILT, || async {
        let lines = host.log().lines();
        lines.into_iter().rev().find(|line| line.contains(text))
    })
    .await
}

#[test]
fn a_saved_source_is_built_and_swapped_in() {
    run(async {
        let host = project().await;
        assert_eq!(name(&host.api()).await, "first");
        for wanted in ["second", "third"] {
            std::fs::write(at(&host, "src/rev.wasm"), named(wanted, "ok")).unwrap();
            until_it_answers(&host, wanted).await;
        }
        let said = until_it_says(&host, "rev built in").await;
        assert!(
            said.contains("swapped in") && said.contains(" ms"),
            "{said}"
        );
    });
}

#[test]
fn a_build_that_fails_is_shown_and_the_old_code_serves_on() {
    run(async {
        let host = project().await;
        std::fs::write(at(&host, "src/broken"), b"").unwrap();
        until_it_says(&host, "error: it is broken").await;
        until_it_says(&host, "sh build.sh").await;
        assert_eq!(name(&host.api()).await, "first");
        std::fs::write(at(&host, "src/rev.wasm"), named("second", "ok")).unwrap();
        std::fs::remove_file(at(&host, "src/broken")).unwrap();
        until_it_answers(&host, "second").await;
    });
}

#[test]
fn what_is_built_and_cannot_serve_is_said_and_the_old_code_serves_on() {
    run(async {
        let host = project().await;
        std::fs::write(at(&host, "src/rev.wasm"), b"no component").unwrap();
        let said = until_it_says(&host, "could not be loaded").await;
        assert!(said.contains("not a WebAssembly file"), "{said}");
        assert!(said.contains("the old code serves on"), "{said}");
        assert_eq!(name(&host.api()).await, "first");
        std::fs::write(at(&host, "src/rev.wasm"), named("second", "ok")).unwrap();
        until_it_answers(&host, "second").await;
    });
}

#[test]
fn a_file_that_something_else_built_is_swapped_in() {
    run(async {
        let host = project().await;
        let beside = at(&host, "built/rev.new");
        std::fs::write(&beside, named("byhand", "ok")).unwrap();
        std::fs::rename(&beside, at(&host, "built/rev.wasm")).unwrap();
        until_it_answers(&host, "byhand").await;
    });
}

#[test]
fn a_changed_manifest_swaps_the_whole_table() {
    run(async {
        let host = project().await;
        let manifest = at(&host, "spin.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let more = format!(
            "{text}\n[[trigger.http]]\nroute = \"/more/...\"\ncomponent = \"more\"\n\
             [component.more]\nsource = {:?}\n",
            warmlink_tests::paths::guest("http")
        );
        host.api().get("/more/instance").await.error(404);
        std::fs::write(&manifest, &more).unwrap();
        eventually("the new route", BUILT, || async {
            let reply = host.api().get("/more/instance").await;
            (reply.status == 200).then_some(())
        })
        .await;
        assert_eq!(name(&host.api()).await, "first");

        // Faults are shown, and nothing changes.
        std::fs::write(&manifest, more.replace("reuse", "resue")).unwrap();
        let said = until_it_says(&host, "the old manifest stays in force").await;
        assert!(!said.is_empty());
        until_it_says(&host, "resue").await;
        host.api().get("/more/instance").await.expect(200);

        // A component's limits apply to the same bytes.
        let tight = more.replace("reuse = 4096", "reuse = 4096\nrequest_body = \"8B\"");
        std::fs::write(&manifest, tight).unwrap();
        eventually("the new limit", BUILT, || async {
            let reply = host
                .api()
                .post("/rev/body", &serde_json::json!("more than eight"))
                .await;
            (reply.status == 413).then_some(())
        })
        .await;

        // And what is gone is gone.
        std::fs::write(&manifest, &text).unwrap();
        eventually("the old routes", BUILT, || async {
            let reply = host.api().get("/more/instance").await;
            (reply.status == 404).then_some(())
        })
        .await;
    });
}

#[test]
fn a_component_that_is_new_and_not_built_yet_is_built_and_then_served() {
    run(async {
        let host = project().await;
        let manifest = at(&host, "spin.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let more = format!(
            "{text}\n[[trigger.http]]\nroute = \"/more/...\"\ncomponent = \"more\"\n\
             [component.more]\nsource = \"built/more.wasm\"\n\
             [component.more.build]\ncommand = \"cp src/rev.wasm built/more.wasm\"\n\
             watch = [\"src/**/*\"]\n"
        );
        std::fs::write(&manifest, more).unwrap();
        eventually("the new component", BUILT, || async {
            let reply = host.api().get("/more/body").await;
            (reply.status == 200).then_some(())
        })
        .await;
    });
}

#[test]
fn without_the_flag_nothing_is_watched() {
    run(async {
        let host = start(|options| options).await;
        std::fs::write(at(&host, "built/rev.wasm"), named("second", "ok")).unwrap();
        std::fs::write(at(&host, "src/rev.wasm"), named("second", "ok")).unwrap();
        // By the end of a whole rollout, what is watched would have been swapped.
        Control::of(&host).deploy("rev", named("third", "ok")).await;
        assert_eq!(name(&host.api()).await, "third");
        let lines = host.log().lines();
        assert!(!lines.iter().any(|line| line.contains("watch ")));
    });
}
