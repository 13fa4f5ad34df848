//! Servers as processes: started, accounted for, ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use warmlink_tests::reaper;

/// The longest that a server may take to listen: a component is compiled first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A server of the yardstick's own; it ends with this value.
pub(crate) struct Server {
    child: Child,
    pid: u32,
    address: SocketAddr,
    /// Kept, so that it may print.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a program that was built beside this one, and waits until it says
    /// where it listens. Its errors are shown.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) async fn start(
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let path = beside(program)?;
        let mut child = Command::new(&path)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", path.display()))?;
        let pid = child.id().context("a process that just started")?;
        reaper::watch(pid);
        let output = child.stdout.take().context("a pipe was asked for")?;
        let mut output = BufReader::new(output).lines();
        let what = || format!("{program} {} did not start", arguments.join(" "));
        let line = timeout(START_LIMIT, output.next_line())
            .await
            .with_context(what)??
            .with_context(what)?;
        let address = line.strip_prefix("listening ").with_context(what)?;
        Ok(Self {
            child,
            pid,
            address: address.parse()?,
            _output: output,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it, and waits for that.
    pub(crate) async fn stop(mut self) {
        // An error says that it has ended already.
        let _ = self.child.kill().await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.child.start_kill();
        reaper::forget(self.pid);
    }
}

fn beside(program: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.with_file_name(program))
}

/// Time of all cores that a process has taken so far, in its own code and in the
/// kernel's. The kernel counts in steps of 10 ms.
///
/// # Errors
/// Where there is no such process.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let ticks = ticks(&stat).with_context(|| format!("{path}: {stat}"))?;
    Ok(Duration::from_millis(1_000 / TICKS_PER_SECOND * ticks))
}

/// What Linux calls `USER_HZ`, the same on all machines that it tells of.
const TICKS_PER_SECOND: u64 = 100;

fn ticks(stat: &str) -> Option<u64> {
    // The second field is a name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    Some(user + kernel)
}

/// Physical memory that a process has, in bytes.
///
/// # Errors
/// Where there is no such process.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    resident(&status).with_context(|| format!("{path} tells of no memory"))
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_summed() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 17 0 0 20 0 3 0 100 1 1";
        assert_eq!(ticks(stat), Some(267));
        assert_eq!(ticks("42 (a)"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(
            resident("VmHWM:\t  20 kB\nVmRSS:\t  12 kB\n"),
            Some(12 * 1024)
        );
        assert_eq!(resident("VmHWM:\t20 kB\n"), None);
    }

    #[test]
    fn this_process_has_both() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        cpu_time(pid).unwrap();
    }
}
