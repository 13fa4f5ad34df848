//! Sources that are saved, and the builds that follow.

use std::fs;

use super::project::{Project, Told, byte, spec};
use crate::watch::{Change, Notice};

/// A component whose build copies `src/in` to its file.
const COPY: &str = r#"
[component.a]
source = "a.wasm"
[component.a.build]
command = "cp src/in a.wasm"
watch = ["src/**/*"]
"#;

#[tokio::test]
async fn a_save_is_built_and_told() {
    let mut project = Project::new(&[("src/in", "1"), ("a.wasm", "1")]);
    let _running = project.watch(COPY);
    for text in ["2", "3"] {
        project.write("src/in", text);
        assert_eq!(project.building().await, ("a".into(), "src/in".into()));
        assert!(project.changed("a").await);
        assert_eq!(fs::read_to_string(project.path("a.wasm")).unwrap(), text);
    }
    project.replace("src/in", "4");
    project.building().await;
    assert!(project.changed("a").await);
}

#[tokio::test]
async fn a_failed_build_changes_nothing_and_the_next_save_tries_again() {
    let mut project = Project::new(&[("work/src/in", "1"), ("a.wasm", "1")]);
    // The first command leaves bytes behind that are no component.
    let _running = project.watch(
        r#"
        [component.a]
        source = "a.wasm"
        [component.a.build]
        command = ["cp src/in ../a.wasm", "! grep -q bad src/in"]
        workdir = "work"
        watch = ["src/*"]
        "#,
    );
    project.write("work/src/in", "bad");
    assert_eq!(project.building().await.1, "work/src/in");
    let error = project.failed("a").await;
    assert_eq!(error, "`! grep -q bad src/in` ended with exit status: 1");
    project.write("work/src/in", "bad");
    project.building().await;
    project.failed("a").await;
    project.write("work/src/in", "good");
    project.building().await;
    assert!(project.changed("a").await);
}

#[tokio::test]
async fn a_shared_source_builds_its_components_in_the_manifests_order() {
    let mut project = Project::new(&[("shared/in", "1")]);
    let component = |id: &str| {
        format!(
            "[component.{id}]\nsource = \"{id}.wasm\"\n[component.{id}.build]\n\
             command = \"cp shared/in {id}.wasm\"\nwatch = [\"{id}/**/*\", \"shared/*\"]\n"
        )
    };
    let components = ["z", "a", "m"].map(component).join("");
    let running = project.watch(&components);
    for id in ["z", "a", "m"] {
        let told = project.told().await;
        assert!(
            matches!(&told, Told::Notice(Notice::Absent { id: of, path }) if of == id && path.to_str() == Some(id)),
            "{told:?}"
        );
    }
    project.write("shared/in", "2");
    for id in ["z", "a", "m"] {
        assert_eq!(project.building().await.0, id);
        assert!(project.changed(id).await);
    }
    drop(running);
    project.nothing_more();
}

#[tokio::test]
async fn a_change_during_a_build_leads_to_another() {
    let mut project = Project::new(&[("src/in", "1"), ("a.wasm", "1")]);
    let (began, go) = (project.pipe("began"), project.pipe("go"));
    let mut beginning = began.receiver();
    let _running = project.watch(
        r#"
        [component.a]
        source = "a.wasm"
        [component.a.build]
        command = "cp src/in a.wasm && echo > began && read line < go"
        watch = ["src/*"]
        "#,
    );
    project.write("src/in", "2");
    project.building().await;
    byte(&mut beginning).await.unwrap();
    project.write("src/in", "3");
    let _sent = go.send().await;
    assert!(project.changed("a").await);
    project.building().await;
    byte(&mut beginning).await.unwrap();
    let _sent = go.send().await;
    assert!(project.changed("a").await);
    assert_eq!(fs::read_to_string(project.path("a.wasm")).unwrap(), "3");
}

#[tokio::test]
async fn a_build_that_makes_the_same_is_no_change() {
    let mut project = Project::new(&[("src/in", "1"), ("a.wasm", "1")]);
    let _running = project.watch(COPY);
    project.write("src/other", "x");
    assert_eq!(project.building().await.1, "src/other");
    project.unchanged("a").await;
    fs::remove_file(project.path("src/other")).unwrap();
    project.building().await;
    project.unchanged("a").await;
    // A build that makes nothing says so.
    fs::remove_file(project.path("a.wasm")).unwrap();
    project.write("src/in", "");
    project.building().await;
    let told = project.told().await;
    assert!(
        matches!(told, Told::Notice(Notice::NothingBuilt { .. })),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_build_that_writes_its_own_sources_does_not_ask_for_itself_forever() {
    let mut project = Project::new(&[("src/in", "1"), ("a.wasm", "1")]);
    let running = project.watch(
        r#"
        [component.a]
        source = "a.wasm"
        [component.a.build]
        command = "cp src/in a.wasm; echo generated > src/made"
        watch = ["**/*"]
        "#,
    );
    project.write("src/in", "2");
    project.building().await;
    assert!(project.changed("a").await);
    assert_eq!(project.building().await.1, "src/made");
    project.unchanged("a").await;
    project.write("src/in", "3");
    assert_eq!(project.building().await.1, "src/in");
    assert!(project.changed("a").await);
    project.write("spin.toml", "another");
    project.manifest_changed().await;
    // It is a source as well, by this pattern.
    assert_eq!(project.building().await.1, "spin.toml");
    project.unchanged("a").await;
    drop(running);
    project.nothing_more();
}

#[tokio::test]
async fn a_folder_is_watched_from_when_it_appears() {
    let mut project = Project::new(&[("in", "1")]);
    let _running = project.watch(
        r#"
        [component.a]
        source = "out/a.wasm"
        [component.a.build]
        command = "mkdir -p out && cat $(find lib -type f) > out/a.wasm"
        watch = ["lib/src/**/*"]
        "#,
    );
    let told = project.told().await;
    assert!(
        matches!(told, Told::Notice(Notice::Absent { .. })),
        "{told:?}"
    );
    project.write("lib/src/deep/er/in", "2");
    assert_eq!(project.building().await.1, "lib/src/deep/er/in");
    assert!(project.changed("a").await);
    // One that takes the place of another is watched in its stead.
    project.write("next/src/in", "3");
    fs::rename(project.path("lib"), project.path("old")).unwrap();
    fs::rename(project.path("next"), project.path("lib")).unwrap();
    assert_eq!(project.building().await.1, "lib/src/in");
    assert!(project.changed("a").await);
    project.write("lib/src/in", "4");
    project.building().await;
    assert!(project.changed("a").await);
}

#[tokio::test]
async fn dropping_the_watcher_kills_the_build_and_all_it_started() {
    let project = Project::new(&[("src/in", "1")]);
    let output = project.pipe("output");
    let mut ends = output.ending_receiver();
    let running = project.watch(
        r#"
        [component.a]
        source = "a.wasm"
        [component.a.build]
        command = "exec > output; (trap '' TERM INT; sleep 600; sleep 600) & echo; wait"
        watch = ["src/*"]
        "#,
    );
    project.write("src/in", "2");
    // A pipe that nobody writes to yet reads as ended.
    ends.readable().await.unwrap();
    byte(&mut ends).await.unwrap();
    drop(running);
    // Each process of the build holds the pipe open.
    while byte(&mut ends).await.is_some() {}
}

#[tokio::test]
async fn a_build_that_was_cut_off_begins_anew() {
    let mut project = Project::new(&[("src/in", "1"), ("a.wasm", "1")]);
    let began = project.pipe("began");
    let mut beginning = began.receiver();
    let mut watcher = project.watcher(&spec(
        r#"
        [component.a]
        source = "a.wasm"
        [component.a.build]
        command = "cp src/in a.wasm; echo > began; test -e go || sleep 600"
        watch = ["src/*"]
        "#,
    ));
    project.write("src/in", "2");
    tokio::select! {
        change = watcher.next() => panic!("{change:?}"),
        _ = byte(&mut beginning) => {}
    }
    project.building().await;
    project.write("go", "");
    let change = watcher.next().await;
    assert!(
        matches!(change, Change::Component { built: Some(_), .. }),
        "{change:?}"
    );
    project.building().await;
}
