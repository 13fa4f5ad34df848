//! One build: its commands, one after another, as a process group that ends
//! with whoever awaits it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// What the host is told and a build is not: addresses with passwords, tokens,
/// and (by their prefix) the manifest's variables.
const SECRETS: [&str; 4] = [
    "DATABASE_URL",
    "VALKEY_URL",
    "WARMLINK_ADMIN_TOKEN",
    "WARMLINK_CONTROL_URL",
];
const SECRET_PREFIX: &str = "SPIN_VARIABLE_";

/// Why a component was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A command ended badly. What it had to say is on standard error.
    #[error("`{command}` ended with {status}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A command could not be run.
    #[error("`{command}` cannot be run in {}: {source}", workdir.display())]
    Start {
        /// The command.
        command: String,
        /// Where it was to run.
        workdir: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Runs the commands, each by `sh -c`, until one fails. Whatever they print goes
/// to our standard error as it comes. Dropping the future kills the command
/// under way with all that it started.
///
/// # Errors
///
/// The first command that fails or cannot be run.
pub(super) async fn run(
    commands: &[String],
    workdir: &Path,
    environment: Vec<(OsString, OsString)>,
) -> Result<(), BuildError> {
    let environment = environment.iter().filter(|(name, _)| !is_secret(name));
    let environment: Vec<_> = environment.map(|(name, value)| (name, value)).collect();
    for command in commands {
        let start = |source| BuildError::Start {
            command: command.clone(),
            workdir: workdir.to_owned(),
            source,
        };
        let output = io::stderr().as_fd().try_clone_to_owned().map_err(start)?;
        let child = Command::new("sh")
            .arg("-c")
            .arg(command)
            .current_dir(workdir)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            // Standard output is what the host announces its addresses on.
            .stdout(output)
            .stderr(Stdio::inherit())
            // One to kill with all its children; and a terminal's Ctrl-C is for
            // the host alone.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        let status = Group(child).ended().await.map_err(start)?;
        if !status.success() {
            return Err(BuildError::Failed {
                command: command.clone(),
                status,
            });
        }
    }
    Ok(())
}

/// A child and the process group that it leads.
#[derive(Debug)]
struct Group(Child);

impl Group {
    async fn ended(mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // There is an id until the end was awaited: till then no other group
        // can have it.
        let leader = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(leader) = leader.and_then(Pid::from_raw) {
            // Nobody waits for it any more, so it gets no time to say goodbye.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn is_secret(name: &OsStr) -> bool {
    SECRETS.iter().any(|secret| name == *secret)
        || name
            .as_encoded_bytes()
            .starts_with(SECRET_PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn environment(names: &[&str]) -> Vec<(OsString, OsString)> {
        let path = std::env::var_os("PATH").unwrap();
        let given = names.iter().map(|name| (name.into(), "x".into()));
        given.chain([("PATH".into(), path)]).collect()
    }

    #[tokio::test]
    async fn a_build_sees_the_environment_without_our_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "CARGO_HOME",
            "DATABASE_URL",
            "SPIN_VARIABLE_DATABASE_URL",
            "VALKEY_URL",
            "WARMLINK_ADMIN_TOKEN",
            "WARMLINK_CONTROL_URL",
            "WARMLINK_NODE",
        ];
        let commands = ["env > seen".to_owned()];
        run(&commands, folder.path(), environment(&names))
            .await
            .unwrap();
        let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
        let mut seen: Vec<_> = seen
            .lines()
            .filter_map(|line| line.strip_suffix("=x"))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, ["CARGO_HOME", "WARMLINK_NODE"]);
    }

    #[tokio::test]
    async fn the_first_command_that_fails_is_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let commands = ["touch one", "exit 7", "touch two"].map(str::to_owned);
        let environment = environment(&[]);
        let error = run(&commands, folder.path(), environment)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "`exit 7` ended with exit status: 7");
        assert!(folder.path().join("one").exists());
        assert!(!folder.path().join("two").exists());
    }

    #[tokio::test]
    async fn a_workdir_that_is_gone_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let workdir = folder.path().join("gone");
        let environment = environment(&[]);
        let error = run(&["true".to_owned()], &workdir, environment)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, BuildError::Start { .. }), "{text}");
        assert!(text.contains("gone: No such file"), "{text}");
    }
}
