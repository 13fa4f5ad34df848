//! The manifest, and components that are built elsewhere.

use std::fs::{self, File};
use std::io::Write as _;

use super::project::{Project, Told, spec};
use crate::watch::{Change, Notice, WatchError, Watcher};

const TWO: &str = r#"
[component.a]
source = "target/a.wasm"
[component.b]
source = "b.wasm"
"#;

#[tokio::test]
async fn the_manifest_is_seen_however_it_is_saved() {
    let mut project = Project::new(&[]);
    let running = project.watch(TWO);
    project.write("spin.toml", "one");
    project.manifest_changed().await;
    for text in ["two", "three"] {
        project.replace("spin.toml", text);
        project.manifest_changed().await;
    }
    // A save that changes nothing is none; what follows comes alone.
    project.replace("spin.toml", "three");
    project.write("b.wasm", "1");
    assert!(!project.changed("b").await);
    drop(running);
    project.nothing_more();
}

#[tokio::test]
async fn a_component_that_is_put_in_place_by_hand_is_told() {
    let mut project = Project::new(&[("b.wasm", "1"), ("src/a.wasm", "0")]);
    let _running = project.watch(TWO);
    project.replace("b.wasm", "2");
    assert!(!project.changed("b").await);
    // Its folder is not there yet.
    project.write("target/a.wasm", "1");
    assert!(!project.changed("a").await);
    // As `cargo` does it: a link, never written to.
    fs::remove_file(project.path("target/a.wasm")).unwrap();
    fs::hard_link(project.path("src/a.wasm"), project.path("target/a.wasm")).unwrap();
    assert!(!project.changed("a").await);
    // As `cargo clean` does it, and a build after it.
    fs::remove_dir_all(project.path("target")).unwrap();
    project.write("target/a.wasm", "2");
    assert!(!project.changed("a").await);
}

#[tokio::test]
async fn a_file_that_is_being_written_is_not_told_before_it_is_whole() {
    let mut project = Project::new(&[("target/a.wasm", "whole"), ("b.wasm", "1")]);
    let _running = project.watch(TWO);
    let mut half = File::create(project.path("target/a.wasm")).unwrap();
    half.write_all(b"ha").unwrap();
    // Later, and told first.
    project.replace("b.wasm", "2");
    assert!(!project.changed("b").await);
    half.write_all(b"lf").unwrap();
    drop(half);
    assert!(!project.changed("a").await);
    // Emptied and gone are states to wait through.
    project.write("target/a.wasm", "");
    fs::remove_file(project.path("b.wasm")).unwrap();
    project.write("b.wasm", "3");
    assert!(!project.changed("b").await);
    project.write("target/a.wasm", "another");
    assert!(!project.changed("a").await);
}

#[tokio::test]
async fn components_that_share_a_file_are_all_told() {
    let mut project = Project::new(&[("a.wasm", "1")]);
    let shared = TWO
        .replace("target/a.wasm", "a.wasm")
        .replace("b.wasm", "./a.wasm");
    let _running = project.watch(&shared);
    project.write("a.wasm", "2");
    assert!(!project.changed("a").await);
    assert!(!project.changed("b").await);
}

#[tokio::test]
async fn another_manifest_is_followed() {
    let mut project = Project::new(&[("b.wasm", "1"), ("c/in", "1")]);
    let mut watcher = project.watcher(&spec(TWO));
    let other = r#"
    [component.b]
    source = "b.wasm"
    [component.c]
    source = "c.wasm"
    [component.c.build]
    command = "cp c/in c.wasm"
    watch = ["c/*"]
    "#;
    // Changed and not told yet: that is not lost.
    project.write("b.wasm", "2");
    watcher.follow(&spec(other)).unwrap();
    let mut ids = [told(watcher.next().await), told(watcher.next().await)];
    ids.sort();
    assert_eq!(ids, [("b".to_owned(), false), ("c".to_owned(), true)]);
    assert_eq!(
        project.building().await,
        ("c".to_owned(), "spin.toml".to_owned())
    );
    project.write("c/in", "2");
    assert_eq!(told(watcher.next().await), ("c".to_owned(), true));
    // What is followed no longer is not told of.
    project.building().await;
    project.write("target/a.wasm", "2");
    project.write("b.wasm", "3");
    assert_eq!(told(watcher.next().await), ("b".to_owned(), false));
}

#[tokio::test]
async fn a_build_without_sources_is_pointed_out() {
    let mut project = Project::new(&[]);
    let _running = project.watch("[component.a]\nsource = \"a.wasm\"\nbuild.command = \"true\"");
    let told = project.told().await;
    assert!(
        matches!(&told, Told::Notice(Notice::NothingToWatch { id }) if id == "a"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_pattern_that_is_none_is_named() {
    let project = Project::new(&[]);
    let spec = spec(
        "[component.a]\nsource = \"a.wasm\"\nbuild = { command = \"true\", watch = [\"src/{a\"] }",
    );
    let error = Watcher::new(&project.path("spin.toml"), &project.path(""), &spec, drop);
    let error = error.unwrap_err();
    assert!(matches!(error, WatchError::Pattern { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with("component.a.build.watch: \"src/{a\" is no pattern: "),
        "{text}"
    );
}

#[track_caller]
fn told(change: Change) -> (String, bool) {
    match change {
        Change::Component { id, built } => (id, built.is_some()),
        Change::Manifest => panic!("the manifest did not change"),
    }
}
