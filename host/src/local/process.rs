//! One child process: started under the guard, watched, and ended.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::account::Account;
use super::guard::{self, GuardSignal};

/// How to start one server process.
#[derive(Debug)]
pub(super) struct Launch {
    /// What people call it.
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    /// Whom to run as; `None`: as we are.
    pub(super) account: Option<Account>,
    pub(super) directory: PathBuf,
    /// Takes both output streams.
    pub(super) log: File,
    /// Sent when the host ends without a word, and first when it stops.
    pub(super) end: GuardSignal,
}

/// A running child. Dropping it tells it to end.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    // A handle that can never come to mean another process, as a bare pid can.
    handle: OwnedFd,
    end: GuardSignal,
    ended: watch::Receiver<Option<ExitStatus>>,
    // Set once we have asked for the end: any other end is worth a word.
    told: Arc<AtomicBool>,
}

impl Process {
    pub(super) async fn spawn(launch: Launch) -> io::Result<Self> {
        let (name, end) = (launch.name, launch.end);
        let mut command = launch.command()?;
        let (started, starting) = oneshot::channel();
        let (ending, ended) = watch::channel(None);
        let told = Arc::new(AtomicBool::new(false));
        let expected = Arc::clone(&told);

        // The death signal comes when the *thread* that forked ends, so each
        // child has a thread of its own, which then does nothing but wait.
        thread::Builder::new()
            .name("private-server".into())
            .spawn(move || {
                let opened = command
                    .spawn()
                    .and_then(|mut child| match open_handle(child.id()) {
                        Ok(handle) => Ok((child, handle)),
                        Err(error) => {
                            let _ = child.kill();
                            let _ = child.wait();
                            Err(error)
                        }
                    });
                match opened {
                    Ok((mut child, handle)) => {
                        let _ = started.send(Ok((child.id(), handle)));
                        if let Ok(status) = child.wait() {
                            if !status.success() && !expected.load(Ordering::Relaxed) {
                                tracing::error!(%status, "{name} ended by itself");
                            }
                            ending.send_replace(Some(status));
                        }
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            })?;

        let (pid, handle) = starting
            .await
            .map_err(|_| io::Error::other("the starting thread ended"))??;
        Ok(Self {
            pid,
            handle,
            end,
            ended,
            told,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the end, which may have been long ago.
    pub(super) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(status) => status.expect("waited for it"),
            // Only a failed wait(2) drops the sender unsent; such a child is gone.
            Err(_) => ExitStatus::default(),
        }
    }

    /// Sends the ending signal, then sterner ones when `patience` runs out.
    pub(super) async fn stop(&self, patience: &[(Signal, Duration)]) {
        self.signal(self.end.signal());
        for (next, wait) in patience {
            if timeout(*wait, self.ended()).await.is_ok() {
                return;
            }
            tracing::warn!(pid = self.pid, signal = ?next, "a private server is slow to end");
            self.signal(*next);
        }
        self.ended().await;
    }

    fn signal(&self, signal: Signal) {
        self.told.store(true, Ordering::Relaxed);
        signal_through(&self.handle, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.borrow().is_none() {
            self.signal(self.end.signal());
        }
    }
}

impl Launch {
    fn command(self) -> io::Result<Command> {
        // Not the path: that may lie where the server's account cannot go.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("warmlink")
            .arg(guard::SUBCOMMAND)
            .arg("--parent")
            .arg(std::process::id().to_string())
            .arg("--signal")
            .arg(self.end.as_arg())
            .arg("--")
            .arg(self.program)
            .args(self.args)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(self.log.try_clone()?)
            .stderr(self.log)
            // PGDATA, PGPORT and their like must not reach the server.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            // A terminal's Ctrl-C is for the host alone: it drains first.
            .process_group(0);
        if let Some(account) = self.account {
            command.gid(account.gid).uid(account.uid);
        }
        Ok(command)
    }
}

/// Opens a handle to the process that has `pid` now.
pub(super) fn open_handle(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Signals through a handle. A stopped process acts on no signal but `CONT`, so
/// that follows; one that is gone needs none.
pub(super) fn signal_through(handle: &OwnedFd, signal: Signal) {
    let _ = pidfd_send_signal(handle, signal);
    let _ = pidfd_send_signal(handle, Signal::CONT);
}

/// The end of a log file, for an error message: at most `lines` lines.
pub(super) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    kept[kept.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n\ntwo\nthree\n").unwrap();
        assert_eq!(tail(file.path(), 2), "two\nthree");
        assert_eq!(tail(file.path(), 9), "one\ntwo\nthree");
        assert_eq!(tail(Path::new("/nowhere/at/all"), 3), "");
    }
}
