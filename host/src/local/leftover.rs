//! Servers that an earlier host left behind.
//!
//! The guard makes these rare: a host that was killed a moment ago, whose
//! servers are still writing out. We hold the folder's lock, so no living host
//! owns them, and two servers on one data folder would corrupt it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::task::spawn_blocking;

use super::process::{open_handle, signal_through};

/// Ends the server that `pid_file` names, if it runs on `directory`; then takes
/// the file away, so that the next server does not stumble over it. Returns the
/// pid where there was such a server.
///
/// A pid in a file proves nothing, as pids are used again: the process must also
/// run one of `programs` and have `directory` as its working directory.
pub(super) async fn end(
    pid_file: &Path,
    directory: &Path,
    programs: &[&str],
    signals: &[(Signal, Duration)],
) -> io::Result<Option<u32>> {
    let text = match fs::read_to_string(pid_file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let ended = match first_pid(&text) {
        Some(pid) => end_process(pid, directory, programs, signals)
            .await?
            .then_some(pid),
        None => None,
    };
    match fs::remove_file(pid_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(ended),
    }
}

async fn end_process(
    pid: u32,
    directory: &Path,
    programs: &[&str],
    signals: &[(Signal, Duration)],
) -> io::Result<bool> {
    // The handle first, the proof second: so both speak of one process.
    let Ok(handle) = open_handle(pid) else {
        return Ok(false);
    };
    if !runs_on(pid, directory, programs) {
        return Ok(false);
    }
    let signals = signals.to_vec();
    let waiting = spawn_blocking(move || {
        for (signal, wait) in signals {
            signal_through(&handle, signal);
            if ended_within(&handle, wait)? {
                return Ok(true);
            }
        }
        Err(io::Error::other(format!("process {pid} does not end")))
    });
    waiting.await.map_err(io::Error::other)?
}

/// Waits for a process that is not our child: its handle becomes readable when
/// it has ended.
fn ended_within(handle: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn runs_on(pid: u32, directory: &Path, programs: &[&str]) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let Ok(program) = fs::read_link(process.join("exe")) else {
        return false;
    };
    let Ok(working) = fs::read_link(process.join("cwd")) else {
        return false;
    };
    // The kernel marks a program that was replaced since: "postgres (deleted)".
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(" (deleted)");
    programs.contains(&name) && working == directory
}

/// Both servers write their pid alone on the first line.
fn first_pid(text: &str) -> Option<u32> {
    text.lines()
        .next()?
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const SIGNALS: [(Signal, Duration); 1] = [(Signal::TERM, Duration::from_secs(10))];

    #[test]
    fn a_pid_is_read_from_the_first_line_only() {
        assert_eq!(first_pid("41\n/data\n5432\n"), Some(41));
        assert_eq!(first_pid(""), None);
        assert_eq!(first_pid("no\n41\n"), None);
        assert_eq!(first_pid("1\n"), None, "never the system's first process");
        assert_eq!(first_pid("-5\n"), None);
    }

    #[tokio::test]
    async fn ends_only_what_runs_the_program_in_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().canonicalize().unwrap();
        let pid_file = directory.join("server.pid");
        let mut child = Command::new("sleep")
            .arg("600")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let program = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
        let program = program.file_name().unwrap().to_str().unwrap().to_owned();
        let write = || fs::write(&pid_file, format!("{}\n", child.id())).unwrap();

        write();
        let other = end(&pid_file, &directory, &["postgres"], &SIGNALS)
            .await
            .unwrap();
        assert_eq!(other, None, "another program with that pid is left alone");
        assert!(!pid_file.exists(), "and the stale file is gone");

        write();
        let elsewhere = end(&pid_file, Path::new("/"), &[&program], &SIGNALS)
            .await
            .unwrap();
        assert_eq!(elsewhere, None, "and so is the program on another folder");

        write();
        let pid = child.id();
        let waiting = std::thread::spawn(move || child.wait().unwrap());
        let ended = end(&pid_file, &directory, &[&program], &SIGNALS)
            .await
            .unwrap();
        assert_eq!(ended, Some(pid));
        assert!(!waiting.join().unwrap().success());
    }

    #[tokio::test]
    async fn nothing_to_end_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let none = end(&folder.path().join("none"), folder.path(), &["x"], &SIGNALS).await;
        assert_eq!(none.unwrap(), None);
    }
}
