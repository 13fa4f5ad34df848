//! Imports of the host point down only.
//!
//! `cli → app → {http, stream, repair, admin} → live → engine → capability →
//! pool`; the modules at the bottom import nothing above them. This walks the
//! source and reads every `crate::` path, so that an upward import does not wait
//! for a reviewer.

#![allow(
    clippy::unwrap_used,
    reason = "tests say what they expect in the plainest way"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// For each module of the host's root: what it may import of the others.
const MAY_IMPORT: [(&str, &[&str]); 22] = [
    ("main", &["cli"]),
    ("cli", &["app", "config", "local", "manifest", "telemetry"]),
    (
        "app",
        &[
            "admin",
            "capability",
            "config",
            "cores",
            "engine",
            "error",
            "fleet",
            "http",
            "live",
            "manifest",
            "migrate",
            "pool",
            "rate",
            "readiness",
            "repair",
            "router",
            "stream",
            "telemetry",
            "watch",
        ],
    ),
    ("stream", &["error", "live", "pool"]),
    ("repair", &["live", "pool"]),
    (
        "http",
        &[
            "capability",
            "cores",
            "engine",
            "error",
            "live",
            "manifest",
            "rate",
            "router",
            "telemetry",
        ],
    ),
    ("rate", &["manifest", "pool"]),
    (
        "live",
        &[
            "capability",
            "engine",
            "error",
            "fleet",
            "manifest",
            "pool",
            "router",
            "telemetry",
        ],
    ),
    ("admin", &["error", "live", "readiness", "telemetry"]),
    ("engine", &["capability", "error", "manifest", "telemetry"]),
    ("capability", &["error", "manifest", "pool", "telemetry"]),
    ("fleet", &["error", "pool"]),
    ("migrate", &["error", "pool"]),
    ("cores", &["pool"]),
    ("pool", &["error", "telemetry"]),
    ("watch", &["manifest"]),
    ("local", &["config"]),
    ("manifest", &["config", "router"]),
    ("config", &["telemetry"]),
    ("telemetry", &["error"]),
    ("readiness", &[]),
    ("router", &[]),
];

/// Modules that anything may import and that import nothing.
const LEAVES: [&str; 4] = ["control", "error", "pause", "signature"];

#[test]
fn every_import_points_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/src");
    let mut upward = Vec::new();
    let mut files = 0;
    for file in sources(&root) {
        let path = file.strip_prefix(&root).unwrap();
        let module = module_of(path);
        if module == "lib" {
            continue;
        }
        files += 1;
        let text = fs::read_to_string(&file).unwrap();
        for import in imports(&text) {
            if !allowed(&module, &import) {
                upward.push(format!("{}: crate::{import}", path.display()));
            }
        }
    }
    assert!(files > 100, "the host's source was found: {files} files");
    assert!(
        upward.is_empty(),
        "imports that point up:\n{}",
        upward.join("\n")
    );
}

#[test]
fn every_module_has_its_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/src");
    let found: BTreeSet<String> = sources(&root)
        .iter()
        .map(|file| module_of(file.strip_prefix(&root).unwrap()))
        .collect();
    let placed: BTreeSet<String> = MAY_IMPORT
        .iter()
        .map(|(module, _)| *module)
        .chain(LEAVES)
        .chain(["lib"])
        .map(str::to_owned)
        .collect();
    assert_eq!(found, placed);
}

/// The plan itself has a direction: no module is, through others, above itself.
#[test]
fn the_plan_has_no_cycle() {
    let mut left: Vec<(&str, &[&str])> = MAY_IMPORT.to_vec();
    let mut done: BTreeSet<&str> = LEAVES.into();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|(module, below)| {
            let ready = below.iter().all(|module| done.contains(module));
            if ready {
                done.insert(module);
            }
            !ready
        });
        assert!(left.len() < before, "a cycle among {left:?}");
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = "use crate::pool::{self, Pools};\nfn f(x: crate::error::Kind) {}\n\
                use crate::{http, live::Table};\n// crate::comment is no import\n";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["error", "http", "live", "pool"]);
}

fn allowed(module: &str, import: &str) -> bool {
    import == module
        || LEAVES.contains(&import) && !LEAVES.contains(&module)
        || MAY_IMPORT
            .iter()
            .any(|(name, below)| *name == module && below.contains(&import))
}

/// The root module a file belongs to: `http/conn.rs` and `http.rs` are `http`.
fn module_of(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The root modules that a text names after `crate::`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let code = line.split("//").next().unwrap();
        for after in code.split("crate::").skip(1) {
            match after.strip_prefix('{') {
                None => found.extend(word(after)),
                Some(list) => {
                    let list = list.split('}').next().unwrap();
                    found.extend(list.split(',').filter_map(|item| word(item.trim())));
                }
            }
        }
    }
    found
}

fn word(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}
