//! Why the private servers could not be had.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// A fault of the private servers, told with what mends it. Holds no secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Servers that are not installed, each with how to get it.
    #[error("{}", .0.join("\n"))]
    Missing(Vec<String>),
    /// Another process runs servers on this folder.
    #[error(
        "the state folder {folder} is in use by {holder}: \
         give this host one of its own with WARMLINK_STATE",
        folder = .folder.display()
    )]
    Locked {
        /// The state folder.
        folder: PathBuf,
        /// "process 4711", as far as known.
        holder: String,
    },
    /// We are root, and there is no one else to run servers as.
    #[error(
        "run by root, the private servers need an account of less power: \
         add a user `postgres` (`useradd --system postgres`)"
    )]
    NoAccount,
    /// The servers' account cannot enter a folder, and the data is already there.
    #[error(
        "{account} cannot enter {barrier}, on the way to {target}: \
         `chmod o+x {barrier}`, or set WARMLINK_STATE to a folder it can enter",
        barrier = .barrier.display(), target = .target.display()
    )]
    Unreachable {
        /// Whom the servers run as.
        account: String,
        /// The folder that is closed to it.
        barrier: PathBuf,
        /// Where it has to go.
        target: PathBuf,
    },
    /// The data needs another version of the server.
    #[error(
        "{data} was made by PostgreSQL {made_by}, and the server found here is {found}: \
         install PostgreSQL {made_by}, or move the folder away to begin with an empty database",
        data = .data.display()
    )]
    Version {
        /// The data folder.
        data: PathBuf,
        /// Its major version.
        made_by: String,
        /// The version found.
        found: String,
    },
    /// The data is there and its password is not.
    #[error(
        "{file} is missing, so nobody can log in to {data}: restore the file, \
         or move the folder away to begin with an empty database",
        file = .file.display(), data = .data.display()
    )]
    PasswordLost {
        /// The password's file.
        file: PathBuf,
        /// What it opens.
        data: PathBuf,
    },
    /// A server ended before it was ready, or while it made its data folder.
    #[error("{name} ended ({status}) before it was ready; {log} ends with:\n{tail}", log = .log.display())]
    Ended {
        /// "PostgreSQL", "initdb", "Valkey".
        name: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server runs and turns us away.
    #[error("{name} refused us ({reason}); its log is {log}", log = .log.display())]
    Refused {
        /// "PostgreSQL" or "Valkey".
        name: &'static str,
        /// The server's words.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// A server runs and does not answer.
    #[error(
        "{name} did not become ready within {}s ({reason}); its log is {log}",
        .limit.as_secs(), log = .log.display()
    )]
    NotReady {
        /// "PostgreSQL" or "Valkey".
        name: &'static str,
        /// How long we waited.
        limit: Duration,
        /// The last refusal.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// The database could not be given its role and its name.
    #[error("cannot prepare the private database: {0}")]
    Prepare(#[source] tokio_postgres::Error),
    /// A file, a folder or a process that the system refused.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// "create", "open", "run".
        action: &'static str,
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: what was being done, and to what.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
