//! Real servers: private ones, started by the binary itself.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::{address, paths};

/// A cluster is initialised and started well within this, on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Losing a test's data in a power cut is fine.
const FAST: [(&str, &str); 4] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
];

/// Servers that end with this value, or with the test run.
pub struct Services {
    announced: Announced,
    child: Child,
    /// The servers stop when it closes.
    input: Option<ChildStdin>,
    state: TempDir,
}

#[derive(Deserialize)]
struct Announced {
    database_url: Option<String>,
    control_url: Option<String>,
    database_admin_url: Option<String>,
    valkey_url: Option<String>,
    postgres_pid: Option<u32>,
    valkey_pid: Option<u32>,
}

/// What to start, and how.
#[derive(Default)]
pub struct Wanted {
    postgres: Option<Vec<(String, String)>>,
    valkey: Option<Vec<(String, String)>>,
}

impl Wanted {
    /// With settings suited for tests; `settings` go on top.
    #[must_use]
    pub fn postgres(mut self, settings: &[(&str, &str)]) -> Self {
        self.postgres = Some(owned(FAST.iter().chain(settings)));
        self
    }

    #[must_use]
    pub fn valkey(mut self, settings: &[(&str, &str)]) -> Self {
        self.valkey = Some(owned(settings.iter()));
        self
    }

    /// Starts them and waits until they answer.
    ///
    /// # Panics
    /// Where they do not come up.
    pub async fn start(self) -> Services {
        let state = tempfile::tempdir().expect("a temporary folder");
        self.start_in(state).await
    }

    /// The same in a state folder that may have been used before.
    ///
    /// # Panics
    /// Where they do not come up.
    pub async fn start_in(self, state: TempDir) -> Services {
        let mut command = Command::new(paths::binary());
        command.env("PATH", paths::with_tools());
        command.arg("services").arg("--state").arg(state.path());
        flags(&mut command, "postgres", self.postgres.as_deref());
        flags(&mut command, "valkey", self.valkey.as_deref());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let input = child.stdin.take();
        let output = child.stdout.take().expect("a pipe was asked for");
        let errors = child.stderr.take().expect("a pipe was asked for");
        let errors = tokio::spawn(async move {
            let mut text = String::new();
            let mut lines = BufReader::new(errors).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // What came before the line on stdout explains its absence.
                if text.len() < 64 * 1024 {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            text
        });
        let mut lines = BufReader::new(output).lines();
        let first = timeout(START_LIMIT, lines.next_line()).await;
        let line = match first {
            Ok(Ok(Some(line))) => line,
            other => {
                drop(input);
                let _ = child.start_kill();
                let errors = errors.await.unwrap_or_default();
                panic!("no servers ({other:?}):\n{errors}");
            }
        };
        let announced = serde_json::from_str(&line).expect("one line of JSON is announced");
        Services {
            announced,
            child,
            input,
            state,
        }
    }
}

impl Services {
    /// # Panics
    /// Where no PostgreSQL was asked for.
    pub fn database_url(&self) -> &str {
        self.announced
            .database_url
            .as_deref()
            .expect("a PostgreSQL was started")
    }

    /// The address of the hosts' own role.
    ///
    /// # Panics
    /// Where no PostgreSQL was asked for.
    pub fn control_url(&self) -> &str {
        self.announced
            .control_url
            .as_deref()
            .expect("a PostgreSQL was started")
    }

    /// The superuser's address: hosts never get it.
    ///
    /// # Panics
    /// Where no PostgreSQL was asked for.
    pub fn database_admin_url(&self) -> &str {
        self.announced
            .database_admin_url
            .as_deref()
            .expect("a PostgreSQL was started")
    }

    /// # Panics
    /// Where no Valkey was asked for.
    pub fn valkey_url(&self) -> &str {
        self.announced
            .valkey_url
            .as_deref()
            .expect("a Valkey was started")
    }

    /// The Valkey's address, as `host:port`.
    ///
    /// # Panics
    /// Where no Valkey was asked for.
    pub fn valkey_authority(&self) -> String {
        address::authority(self.valkey_url())
    }

    /// The same Valkey through another port of this machine.
    ///
    /// # Panics
    /// Where no Valkey was asked for.
    pub fn valkey_url_through(&self, port: u16) -> String {
        address::through(self.valkey_url(), port)
    }

    /// # Panics
    /// Where no PostgreSQL was asked for.
    pub fn postgres_pid(&self) -> u32 {
        self.announced
            .postgres_pid
            .expect("a PostgreSQL was started")
    }

    /// # Panics
    /// Where no Valkey was asked for.
    pub fn valkey_pid(&self) -> u32 {
        self.announced.valkey_pid.expect("a Valkey was started")
    }

    /// Stops the servers and waits for their end. Their data is in the folder
    /// that this gives, and goes with it.
    pub async fn stop(mut self) -> TempDir {
        self.input.take();
        let _ = timeout(START_LIMIT, self.child.wait()).await;
        self.state
    }
}

/// Sends a signal, by name, to a process that a test started.
///
/// # Panics
/// Where there is no such process.
pub fn signal(pid: u32, name: &str) {
    let status = std::process::Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .expect("there is a `kill`");
    assert!(status.success(), "no process {pid} to send {name} to");
}

/// A Valkey that is stopped for as long as this lives. It goes on in any case: a
/// stopped server would not end with its test.
pub struct Frozen<'a>(&'a Services);

impl<'a> Frozen<'a> {
    /// Stops it.
    pub fn now(services: &'a Services) -> Self {
        signal(services.valkey_pid(), "STOP");
        Self(services)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        signal(self.0.valkey_pid(), "CONT");
    }
}

/// The PostgreSQL of this whole test run.
pub async fn shared_postgres() -> &'static Services {
    static SHARED: OnceCell<Services> = OnceCell::const_new();
    SHARED
        .get_or_init(|| Wanted::default().postgres(&[]).start())
        .await
}

/// The Valkey of this whole test run, for tests that only need one.
pub async fn shared_valkey() -> &'static Services {
    static SHARED: OnceCell<Services> = OnceCell::const_new();
    SHARED
        .get_or_init(|| Wanted::default().valkey(&[]).start())
        .await
}

fn owned<'a>(settings: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Vec<(String, String)> {
    settings
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn flags(command: &mut Command, server: &str, settings: Option<&[(String, String)]>) {
    match settings {
        None => {
            command.arg(format!("--no-{server}"));
        }
        Some(settings) => {
            for (name, value) in settings {
                command
                    .arg(format!("--{server}-set"))
                    .arg(format!("{name}={value}"));
            }
        }
    }
}
