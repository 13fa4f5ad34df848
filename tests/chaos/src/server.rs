//! A server that can be taken away, and comes back at the same place with the same
//! data: a process that is known by what it was started as.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use warmlink_tests::eventually::within;
use warmlink_tests::reaper;

use crate::port::Port;

/// What a server of small data needs to end, or to start, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A running server, or one that is away.
pub(crate) struct Server {
    recipe: Recipe,
    pid: u32,
    /// Once it was started again: before that it is somebody else's.
    child: Option<Child>,
    number: u16,
    /// From its first end on.
    port: Option<Port>,
}

/// How a process was started.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) directory: PathBuf,
    pub(crate) owner: (u32, u32),
    pub(crate) log: PathBuf,
}

impl Recipe {
    /// Reads how a process that runs was started.
    ///
    /// # Errors
    /// Where there is no such process.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let line = fs::read(process.join("cmdline"))?;
        let arguments = line.split(|byte| *byte == 0).skip(1);
        let arguments = arguments.filter(|it| !it.is_empty());
        let owner = fs::metadata(&process)?;
        Ok(Self {
            program: fs::read_link(process.join("exe"))?,
            arguments: arguments
                .map(|it| OsString::from_vec(it.to_vec()))
                .collect(),
            directory: fs::read_link(process.join("cwd"))?,
            owner: (owner.uid(), owner.gid()),
            log: fs::read_link(process.join("fd/1"))?,
        })
    }

    /// A command that does nothing yet, as the same user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.directory)
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // A user may become itself, but not say so without being root.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != self.owner.0) {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        command
    }

    fn start(&self) -> anyhow::Result<Child> {
        let log = File::options().append(true).open(&self.log)?;
        let child = self
            .command(&self.program)
            .args(&self.arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            // A terminal's Ctrl-C is for the runner alone.
            .process_group(0)
            .spawn()?;
        reaper::watch(child.id().context("a process that just started")?);
        Ok(child)
    }
}

impl Server {
    /// The one that runs as this process and listens at this place.
    ///
    /// # Errors
    /// Where there is no such process.
    pub(crate) fn new(pid: u32, authority: &str) -> anyhow::Result<Self> {
        let (_, number) = authority.rsplit_once(':').context("a port")?;
        Ok(Self {
            recipe: Recipe::of(pid)?,
            pid,
            child: None,
            number: number.parse()?,
            port: None,
        })
    }

    /// Starts a new one, which listens at this port.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn start(recipe: Recipe, port: Port) -> anyhow::Result<Self> {
        let child = recipe.start()?;
        Ok(Self {
            recipe,
            pid: child.id().context("a process that just started")?,
            child: Some(child),
            number: port.number(),
            port: Some(port),
        })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Starts it with other arguments from now on.
    pub(crate) fn with_arguments(mut self, arguments: Vec<OsString>) -> Self {
        self.recipe.arguments = arguments;
        self
    }

    /// Sends a signal to it and all its children at once.
    pub(crate) async fn signal_all(&self, name: &str) {
        let mut pids = vec![self.pid];
        pids.extend(children(self.pid));
        kill(name, &pids).await;
    }

    /// Asks it to end, by a signal, and waits until it has.
    ///
    /// # Errors
    /// Where it does not end.
    pub(crate) async fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        kill(name, &[self.pid]).await;
        self.ended().await
    }

    /// Kills it, and all its children with it.
    ///
    /// # Errors
    /// Where it does not end.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        // A parent that stands still makes no more of them meanwhile.
        kill("STOP", &[self.pid]).await;
        self.signal_all("KILL").await;
        self.ended().await
    }

    /// Starts it again, and waits for nothing.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        let port = self.port.take().context("a server that has ended")?;
        *self = Self::start(self.recipe.clone(), port)?;
        Ok(())
    }

    async fn ended(&mut self) -> anyhow::Result<()> {
        let gone = within(LIMIT, || async {
            (!Path::new(&format!("/proc/{}", self.pid)).exists()).then_some(())
        });
        if let Some(mut child) = self.child.take() {
            tokio::time::timeout(LIMIT, child.wait()).await??;
            reaper::forget(self.pid);
        } else if gone.await.is_none() {
            bail!("process {} does not end", self.pid);
        }
        if self.port.is_none() {
            let kept = within(LIMIT, || async { Port::keep(self.number).ok() });
            self.port = Some(kept.await.context("its port")?);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            reaper::forget(self.pid);
        }
    }
}

/// Those that are gone meanwhile need no signal.
async fn kill(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .args(pids)
        .stderr(Stdio::null())
        .status()
        .await;
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|it| it.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Removes what a server has kept. Of a database that is a thousand files, and as long
/// as a thread removes them it carries nobody else's requests.
///
/// # Errors
/// Where that is not allowed.
pub(crate) async fn remove(folder: TempDir) -> anyhow::Result<()> {
    Ok(tokio::task::spawn_blocking(|| folder.close()).await??)
}

/// Looks until `answers` does.
///
/// # Errors
/// Where it does not.
pub(crate) async fn until_it_answers<F: Future<Output = bool>>(
    what: &str,
    mut answers: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let look = || {
        let answer = answers();
        async { answer.await.then_some(()) }
    };
    within(LIMIT, look)
        .await
        .with_context(|| format!("{what} does not answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_what_it_was_started_as() {
        let recipe = Recipe::of(std::process::id());
        // Standard output may be a pipe: then there is no file, but a link.
        let recipe = recipe.unwrap();
        assert_eq!(recipe.program, std::env::current_exe().unwrap());
        assert_eq!(recipe.directory, std::env::current_dir().unwrap());
        assert_eq!(recipe.arguments.len(), std::env::args().count() - 1);
    }
}
