//! `warmlink up`, as a child process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::manifest::Manifest;
use crate::services::signal;
use crate::{Api, metrics, paths, process, reaper};

/// A cold compile of every component on a loaded machine fits in this.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// A drain's limit and then some.
const EXIT_LIMIT: Duration = Duration::from_secs(60);
/// The lines of log a failed test shows.
const LINES_SHOWN: usize = 200;

/// How to start a host.
pub struct HostOptions {
    manifest: Manifest,
    env: HashMap<String, String>,
    flags: Vec<&'static str>,
    files: Vec<(&'static str, Vec<u8>)>,
    network: Option<String>,
}

impl HostOptions {
    /// With neither database nor Valkey.
    pub fn new(manifest: Manifest) -> Self {
        let env = [
            ("WARMLINK_LISTEN", "127.0.0.1:0"),
            ("WARMLINK_ADMIN_LISTEN", "127.0.0.1:0"),
            ("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:9/none"),
            ("VALKEY_URL", ""),
        ];
        let mut env: HashMap<_, _> = env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        env.insert(
            "WARMLINK_CACHE".to_owned(),
            paths::cache().to_string_lossy().into_owned(),
        );
        Self {
            manifest,
            env,
            flags: Vec::new(),
            files: Vec::new(),
            network: None,
        }
    }

    /// Runs it in a network namespace that there is, which takes root.
    #[must_use]
    pub fn within(mut self, network: &str) -> Self {
        self.network = Some(network.to_owned());
        self
    }

    /// Adds a flag of `warmlink up`.
    #[must_use]
    pub fn flag(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }

    /// Puts a file beside the manifest.
    #[must_use]
    pub fn file(mut self, path: &'static str, bytes: Vec<u8>) -> Self {
        self.files.push((path, bytes));
        self
    }

    #[must_use]
    pub fn database(self, url: &str) -> Self {
        self.env("DATABASE_URL", url)
    }

    #[must_use]
    pub fn valkey(self, url: &str) -> Self {
        self.env("VALKEY_URL", url)
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A host; it ends with this value.
pub struct Host {
    child: Child,
    pid: u32,
    log: Log,
    /// They end with the process's output.
    readers: Vec<JoinHandle<()>>,
    admin: watch::Receiver<Option<SocketAddr>>,
    public: watch::Receiver<Option<SocketAddr>>,
    folder: TempDir,
    ended: bool,
}

impl Host {
    /// Starts a host and waits until its public port is open.
    ///
    /// # Panics
    /// Where it does not open.
    pub async fn start(options: HostOptions) -> Self {
        let host = Self::spawn(options);
        host.opened().await;
        host
    }

    /// Starts a host and waits for nothing.
    ///
    /// # Panics
    /// Where the process cannot be started.
    pub fn spawn(options: HostOptions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifest = folder.path().join("spin.toml");
        std::fs::write(&manifest, options.manifest.text()).expect("the folder is writable");
        for (path, bytes) in &options.files {
            let path = folder.path().join(path);
            let parent = path.parent().expect("it is in the folder");
            std::fs::create_dir_all(parent).expect("the folder is writable");
            std::fs::write(path, bytes).expect("the folder is writable");
        }
        let mut command = command_within(options.network.as_deref(), &options.env);
        command
            .arg("up")
            .args(&options.flags)
            .arg(&manifest)
            .env("WARMLINK_STATE", folder.path().join("state"))
            .current_dir(folder.path());
        Self::launch(command, folder)
    }

    /// Starts what a test has put together: a command whose process becomes a host, or
    /// waits for one ([`Host::enter`]). The folder goes with the host.
    ///
    /// # Panics
    /// Where the process cannot be started.
    pub fn launch(mut command: Command, folder: TempDir) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the command starts");
        let pid = child.id().expect("just started");
        reaper::watch(pid);
        let log = Log::default();
        let errors = log.follow(child.stderr.take().expect("a pipe was asked for"));
        let (admin_found, admin) = watch::channel(None);
        let (public_found, public) = watch::channel(None);
        let output = child.stdout.take().expect("a pipe was asked for");
        let seen = log.clone();
        let output = tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let found = match line.split_whitespace().next() {
                    Some("admin") => Some(&admin_found),
                    Some("public") => Some(&public_found),
                    _ => None,
                };
                if let (Some(found), Some(address)) = (found, announced(&line)) {
                    found.send_replace(Some(address));
                }
                seen.push(format!("[stdout] {line}"));
            }
        });
        Self {
            child,
            pid,
            log,
            readers: vec![errors, output],
            admin,
            public,
            folder,
            ended: false,
        }
    }

    /// What was started only waits for the host, its one child: what is said of the
    /// process from now on is said of that.
    ///
    /// # Panics
    /// Where there is no such child.
    pub fn enter(&mut self) {
        let children = process::children(self.pid);
        let [inner] = children.as_slice() else {
            panic!("{} has the children {children:?}", self.pid);
        };
        reaper::forget(self.pid);
        self.pid = *inner;
        reaper::watch(self.pid);
    }

    /// Waits for the admin port.
    pub async fn admin_bound(&self) -> SocketAddr {
        self.wait(self.admin.clone(), "the admin port").await
    }

    /// Waits for the public port.
    pub async fn opened(&self) -> SocketAddr {
        self.wait(self.public.clone(), "the public port").await
    }

    /// Whether the public port was announced.
    pub fn is_open(&self) -> bool {
        self.public.borrow().is_some()
    }

    /// # Panics
    /// Before it was announced.
    pub fn public(&self) -> SocketAddr {
        (*self.public.borrow()).expect("the public port is open")
    }

    /// # Panics
    /// Before it was announced.
    pub fn admin(&self) -> SocketAddr {
        (*self.admin.borrow()).expect("the admin port is bound")
    }

    /// A client of the public port.
    pub fn api(&self) -> Api {
        Api::new(self.public())
    }

    /// A client of the admin port.
    pub fn admin_api(&self) -> Api {
        Api::new(self.admin())
    }

    pub async fn metrics(&self) -> metrics::Scrape {
        metrics::scrape(self.admin()).await
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its working folder, where its manifest lies.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Physical memory in use, in bytes.
    ///
    /// # Panics
    /// Where the process has ended.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))
            .expect("the process runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("it has memory");
        let kilobytes = line.split_whitespace().nth(1).expect("a number follows");
        kilobytes.parse::<u64>().expect("a number") * 1024
    }

    /// How many descriptors it has open.
    ///
    /// # Panics
    /// Where the process has ended.
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid);
        std::fs::read_dir(folder).expect("the process runs").count()
    }

    /// Asks it to end.
    pub fn interrupt(&self) {
        signal(self.pid, "TERM");
    }

    /// Asks it to end, and waits for that.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.interrupt();
        self.exit().await
    }

    /// Waits for its end; its log is then complete.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn exit(&mut self) -> ExitStatus {
        let status = timeout(EXIT_LIMIT, self.child.wait())
            .await
            .expect("the host ends in time")
            .expect("a child can be waited for");
        self.ended = true;
        reaper::forget(self.pid);
        for reader in self.readers.drain(..) {
            let read = timeout(EXIT_LIMIT, reader).await;
            read.expect("nobody else holds its output")
                .expect("reading does not panic");
        }
        status
    }

    async fn wait(
        &self,
        mut address: watch::Receiver<Option<SocketAddr>>,
        what: &str,
    ) -> SocketAddr {
        let found = timeout(READY_LIMIT, address.wait_for(Option::is_some)).await;
        match found {
            Ok(Ok(found)) => (*found).expect("waited for"),
            Ok(Err(_)) => panic!("the host ended before {what} was announced\n{}", self.log),
            Err(_) => panic!("{what} was not announced in {READY_LIMIT:?}\n{}", self.log),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log);
        }
        if !self.ended {
            let _ = self.child.start_kill();
            reaper::forget(self.pid);
        }
    }
}

/// Shows a shared host's log when a test that used it fails.
pub struct Shared(pub &'static Host);

impl std::ops::Deref for Shared {
    type Target = Host;

    fn deref(&self) -> &Host {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.log);
        }
    }
}

/// What a host has written so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn follow(&self, stream: impl AsyncRead + Send + Unpin + 'static) -> JoinHandle<()> {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                log.push(line);
            }
        })
    }

    fn push(&self, line: String) {
        self.0
            .lock()
            .expect("no one panics while holding it")
            .push(line);
    }

    /// All lines, stdout's marked as such.
    ///
    /// # Panics
    /// Never.
    pub fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("no one panics while holding it")
            .clone()
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines();
        let skipped = lines.len().saturating_sub(LINES_SHOWN);
        writeln!(f, "--- the host's log ({skipped} lines before) ---")?;
        for line in &lines[skipped..] {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "--- end of the host's log ---")
    }
}

/// A command of the binary, with nothing of this environment's own settings.
pub fn command(env: &HashMap<String, String>) -> Command {
    command_within(None, env)
}

fn command_within(network: Option<&str>, env: &HashMap<String, String>) -> Command {
    let mut command = match network {
        None => Command::new(paths::binary()),
        Some(network) => {
            // It becomes the binary: the process that is started is the host's.
            let mut command = Command::new("ip");
            command
                .args(["netns", "exec", network])
                .arg(paths::binary());
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = name.starts_with("WARMLINK_") || name.starts_with("SPIN_VARIABLE_");
        if ours || name == "DATABASE_URL" || name == "VALKEY_URL" {
            command.env_remove(name);
        }
    }
    command
        .envs(env)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn announced(line: &str) -> Option<SocketAddr> {
    let url = line.split_whitespace().nth(1)?;
    url.strip_prefix("http://")?
        .trim_end_matches('/')
        .parse()
        .ok()
}
