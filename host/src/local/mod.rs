//! The private PostgreSQL and Valkey of `warmlink up` and `warmlink services`.
//!
//! Whoever has no servers of their own gets two, which belong to this process:
//! their data stays under the state folder between runs, they listen on
//! loopback only, on ports that are free when they start, behind random
//! passwords, and they end when this process ends, however it ends.
//!
//! ```text
//! STATE/lock               held while the servers run; names the holder's pid
//! STATE/postgres/          data/, the three roles' passwords, server.log
//! STATE/valkey/            data/, the password, server.log
//! STATE/tools/             server binaries that `make setup` put there
//! ```
//!
//! PostgreSQL has a role for the application, which owns its database; one for
//! the hosts, `warmlink_control`, which owns the schema `warmlink` in it, closed
//! to the application; and the superuser.
//!
//! Run by root, the servers run as an unprivileged account, and where that
//! account cannot enter the state folder (a clone under `/root`), the two
//! folders above are links to `/var/lib/warmlink`.

mod account;
mod binaries;
mod error;
mod folder;
pub mod guard;
mod leftover;
mod package;
mod postgres;
mod process;
mod ready;
mod roles;
mod valkey;

use std::future::pending;
use std::path::PathBuf;
use std::process::ExitStatus;

pub use self::error::Error;
use self::folder::Folder;
use self::postgres::Postgres;
use self::valkey::Valkey;
use crate::config::Secret;

/// Which private servers to start, and where their data lives.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state folder; made when it does not exist.
    pub state: PathBuf,
    /// `None`: no private PostgreSQL.
    pub postgres: Option<Settings>,
    /// `None`: no private Valkey.
    pub valkey: Option<Settings>,
}

/// Settings of one server beyond ours, as its own configuration spells them:
/// `max_connections` → `20`.
#[derive(Debug, Clone, Default)]
pub struct Settings(pub Vec<(String, String)>);

/// The private servers that run, and the lock on their folder.
///
/// Dropping it tells the servers to end and does not wait; [`Services::stop`]
/// waits.
#[derive(Debug)]
pub struct Services {
    postgres: Option<Postgres>,
    valkey: Option<Valkey>,
    // Last, so that the folder is free only when the servers were told to end.
    _folder: Option<Folder>,
}

impl Services {
    /// Starts what `options` asks for and returns when each server has answered
    /// a request of its own protocol. With nothing asked for, touches nothing.
    ///
    /// # Errors
    ///
    /// Names what is missing (and the command that installs it), who holds the
    /// folder, or what a server said before it ended. Nothing is left running.
    pub async fn start(options: Options) -> Result<Self, Error> {
        if options.postgres.is_none() && options.valkey.is_none() {
            return Ok(Self {
                postgres: None,
                valkey: None,
                _folder: None,
            });
        }
        let folder = Folder::open(&options.state)?;
        let found = binaries::find(&options, &folder)?;

        let (postgres, valkey) = tokio::join!(
            async {
                match found.postgres {
                    Some((binaries, settings)) => {
                        Postgres::start(&folder, binaries, settings).await.map(Some)
                    }
                    None => Ok(None),
                }
            },
            async {
                match found.valkey {
                    Some((binary, settings)) => {
                        Valkey::start(&folder, binary, settings).await.map(Some)
                    }
                    None => Ok(None),
                }
            },
        );
        match (postgres, valkey) {
            (Ok(postgres), Ok(valkey)) => Ok(Self {
                postgres,
                valkey,
                _folder: Some(folder),
            }),
            (Err(error), started) => {
                if let Ok(Some(valkey)) = started {
                    valkey.stop().await;
                }
                Err(error)
            }
            (Ok(started), Err(error)) => {
                if let Some(postgres) = started {
                    postgres.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Where the application's role reaches its database, password included.
    #[must_use]
    pub fn database_url(&self) -> Option<&Secret> {
        self.postgres.as_ref().map(Postgres::url)
    }

    /// Where the hosts' own role reaches the same database: it owns the schema
    /// `warmlink`, which the application's role can neither read nor write.
    #[must_use]
    pub fn control_url(&self) -> Option<&Secret> {
        self.postgres.as_ref().map(Postgres::control_url)
    }

    /// Where the superuser reaches the same database: for tools and tests, never
    /// for the application.
    #[must_use]
    pub fn database_admin_url(&self) -> Option<&Secret> {
        self.postgres.as_ref().map(Postgres::admin_url)
    }

    /// Where Valkey is reached, password included.
    #[must_use]
    pub fn valkey_url(&self) -> Option<&Secret> {
        self.valkey.as_ref().map(Valkey::url)
    }

    /// The process id of the private PostgreSQL's postmaster.
    #[must_use]
    pub fn postgres_pid(&self) -> Option<u32> {
        self.postgres.as_ref().map(Postgres::pid)
    }

    /// The process id of the private Valkey.
    #[must_use]
    pub fn valkey_pid(&self) -> Option<u32> {
        self.valkey.as_ref().map(Valkey::pid)
    }

    /// Resolves when every server of these has ended, with the last one's name
    /// and status; never, where there is none.
    pub async fn all_ended(&self) -> (&'static str, ExitStatus) {
        let postgres = self.postgres.as_ref().map(Postgres::ended);
        let valkey = self.valkey.as_ref().map(Valkey::ended);
        match (postgres, valkey) {
            (Some(postgres), Some(valkey)) => {
                let (postgres, valkey) = tokio::join!(postgres, valkey);
                let _ = valkey;
                ("PostgreSQL", postgres)
            }
            (Some(postgres), None) => ("PostgreSQL", postgres.await),
            (None, Some(valkey)) => ("Valkey", valkey.await),
            (None, None) => pending().await,
        }
    }

    /// Ends the servers and waits for them: PostgreSQL by its fast shutdown
    /// (open transactions are rolled back, data is written out), Valkey after
    /// its log is on disk. Whoever does not heed the first signal gets sterner
    /// ones.
    pub async fn stop(mut self) {
        let (postgres, valkey) = (self.postgres.take(), self.valkey.take());
        tokio::join!(
            async {
                if let Some(postgres) = postgres {
                    postgres.stop().await;
                }
            },
            async {
                if let Some(valkey) = valkey {
                    valkey.stop().await;
                }
            },
        );
    }
}
