//! The host as a process: how it starts, what it says, how it ends.

mod admin;
mod check;
mod cluster;
mod control_role;
mod faults;
mod load;
mod logs;
mod protocols;
mod secrets;
mod shutdown;
mod spin_headers;
mod startup;
mod traces;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use warmlink_tests::{Host, HostOptions, Manifest, eventually};

/// What follows from something a test did is there well within this.
const SOON: Duration = Duration::from_secs(15);

/// What a manifest declares that has a pool of PostgreSQL's.
const VARIABLES: &str = r#"
[variables]
database_url = { required = true, secret = true }
"#;

/// A guest that needs nothing, behind every path.
fn plain() -> HostOptions {
    HostOptions::new(Manifest::one("http", ""))
}

/// An address that is free, or was a moment ago.
async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Waits for a line of the log that has all of these.
async fn until_logged(host: &Host, parts: &[&str]) -> String {
    eventually(&format!("a line with {parts:?}"), SOON, || async {
        let lines = host.log().lines();
        lines
            .into_iter()
            .find(|line| parts.iter().all(|part| line.contains(part)))
    })
    .await
}

/// Waits until the host has said all of these, on as many lines as it takes.
async fn until_said(host: &Host, parts: &[&str]) {
    eventually(&format!("{parts:?}"), SOON, || async {
        let said = host.log().lines().join("\n");
        parts.iter().all(|part| said.contains(part)).then_some(())
    })
    .await;
}
