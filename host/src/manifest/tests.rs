//! The manifests under `tests/manifests`, and what is to be read from them.
//!
//! `good/NAME.toml` reads as `good/NAME.json`, `bad/NAME.toml` has the faults of
//! `bad/NAME.err`. Lines such as `#: name = value` give values to variables.
//! `UPDATE_GOLDENS=1` writes down what is read now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::{Spec, read};

/// Is part of every secret in the cases, and of nothing else.
const SECRET: &str = "hunter2";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn values(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("#: "));
    let pairs = lines.map(|line| line.split_once(" = ").expect("`#: name = value`"));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.collect()
}

fn compare(path: &Path, actual: &str, failures: &mut Vec<String>) {
    assert!(
        !actual.contains(SECRET),
        "{}: shows a secret:\n{actual}",
        path.display()
    );
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(path, actual).expect("the goldens are writable");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected != actual {
        failures.push(format!(
            "{}:\nexpected\n{expected}\nread\n{actual}",
            path.display()
        ));
    }
}

/// Runs `case` on each manifest of a folder, and compares what it gives.
fn walk(folder: &str, extension: &str, case: impl Fn(&Path, &str) -> String) {
    let folder = root().join("tests/manifests").join(folder);
    let mut manifests = BTreeSet::new();
    let mut goldens = BTreeSet::new();
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => manifests.insert(path),
            _ => goldens.insert(path),
        };
    }
    assert!(!manifests.is_empty(), "no cases in {}", folder.display());
    let mut failures = Vec::new();
    for manifest in &manifests {
        let golden = manifest.with_extension(extension);
        let text = fs::read_to_string(manifest).expect("a manifest can be read");
        compare(&golden, &case(manifest, &text), &mut failures);
        goldens.remove(&golden);
    }
    goldens.remove(&folder.join("application.json"));
    assert!(goldens.is_empty(), "no manifests for {goldens:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[derive(serde::Serialize)]
struct Golden {
    spec: Spec,
    notes: Vec<String>,
}

fn good(path: &Path, text: &str, values: &BTreeMap<String, String>) -> String {
    let spec = read(text, values).unwrap_or_else(|faults| panic!("{}:\n{faults}", path.display()));
    let shown = format!("{spec:?} {spec:#?} {}", spec.notes().join(" "));
    assert!(!shown.contains(SECRET), "{}: {shown}", path.display());
    // Serialised as it is: a detour by `Value` would lose the manifest's order.
    let notes = spec.notes();
    let read = serde_json::to_string_pretty(&Golden { spec, notes });
    format!("{}\n", read.expect("a spec is JSON"))
}

#[test]
fn good_manifests_read_as_written_down() {
    walk("good", "json", |path, text| good(path, text, &values(text)));
}

#[test]
fn bad_manifests_have_the_faults_written_down() {
    walk("bad", "err", |path, text| match read(text, &values(text)) {
        Ok(spec) => panic!("{} has no fault: {spec:?}", path.display()),
        Err(faults) => {
            assert!(
                !format!("{faults:?}").contains(SECRET),
                "{}",
                path.display()
            );
            for fault in &faults {
                assert!(!fault.help.is_empty(), "{}: {fault}", path.display());
                assert!(fault.line.is_some(), "{}: {fault}", path.display());
            }
            format!("{faults}\n")
        }
    });
}

#[test]
fn the_application_itself_reads_as_written_down() {
    let path = root().join("spin.toml");
    let text = fs::read_to_string(&path).expect("the application's manifest");
    let values = [
        ("database_url", "postgres://app:hunter2@db:5432/app"),
        ("database_origin", "postgres://db:5432"),
        ("valkey_url", "redis://:hunter2@cache:6379"),
        ("valkey_origin", "redis://cache:6379"),
        ("undeclared", "ignored"),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let actual = good(&path, &text, &values.into());
    let mut failures = Vec::new();
    let golden = root().join("tests/manifests/good/application.json");
    compare(&golden, &actual, &mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn secrets_are_there_for_those_who_need_them() {
    let text = "spin_manifest_version = 2\n[application]\nname = \"a\"\n\
        [variables]\np = { required = true, secret = true }\n\
        [[trigger.http]]\nroute = \"/\"\ncomponent = \"c\"\n\
        [component.c]\nsource = \"c.wasm\"\nallowed_outbound_hosts = [\"http://{{ p }}\"]\n\
        [component.c.variables]\nq = \"-{{ p }}-\"\n";
    let values = BTreeMap::from([("p".to_owned(), SECRET.to_owned())]);
    let spec = read(text, &values).unwrap();
    let component = &spec.components["c"];
    assert_eq!(component.variables["q"].expose(), "-hunter2-");
    assert!(
        component
            .allowed_outbound_hosts
            .allows("http", SECRET, None)
    );
    let shown = component
        .allowed_outbound_hosts
        .iter()
        .map(ToString::to_string);
    assert_eq!(shown.collect::<Vec<_>>(), ["http://{{ p }}"]);
}
