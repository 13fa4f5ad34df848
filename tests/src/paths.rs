//! Where things are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_owned()
}

/// `warmlink` itself: `WARMLINK_BIN`, or the release build.
pub fn binary() -> PathBuf {
    found(
        "WARMLINK_BIN",
        root().join("target/release/warmlink"),
        "cargo build --release -p warmlink",
    )
}

/// A guest's bytes; `name` as its folder under `tests/guests`.
pub fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("WARMLINK_GUESTS")
        .map_or_else(|| root().join("target/wasm32-wasip2/guest"), PathBuf::from);
    let file = folder.join(format!("guest_{name}.wasm"));
    assert!(
        file.is_file(),
        "{} is not there: build it with \
         `cargo build --profile guest --target wasm32-wasip2 -p guest-{name}`",
        file.display()
    );
    file
}

/// Compiled code, shared by all hosts of all runs.
pub fn cache() -> PathBuf {
    root().join("target/warmlink-cache")
}

/// `PATH`, and before it the folder where `make setup` puts servers.
pub fn with_tools() -> OsString {
    let mut path = root().join(".warmlink/tools").into_os_string();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

fn found(variable: &str, default: PathBuf, how: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or(default, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: build it with `{how}`",
        path.display()
    );
    path
}
