//! The private PostgreSQL.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::Settings;
use super::binaries::PostgresBinaries;
use super::error::Error;
use super::folder::{Folder, Home};
use super::guard::GuardSignal;
use super::leftover;
use super::process::{Launch, Process, tail};
use super::ready::{self, Answer, Server};
use super::roles::{self, APPLICATION, CONTROL, SUPERUSER};
use crate::config::Secret;

const NAME: &str = "PostgreSQL";
const SUPERUSER_PASSWORD: &str = "superuser.password";
const APPLICATION_PASSWORD: &str = "application.password";
const CONTROL_PASSWORD: &str = "control.password";

/// Crash recovery of a large database comes before the first answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// After the fast shutdown's signal: the immediate one, which recovers at the
/// next start, then the one nobody survives.
const PATIENCE: [(Signal, Duration); 2] = [
    (Signal::QUIT, Duration::from_secs(30)),
    (Signal::KILL, Duration::from_secs(5)),
];
/// The same steps for a server that is not our child.
const LEFTOVER_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(30)),
    (Signal::QUIT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// A running private PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgres {
    process: Process,
    url: Secret,
    control_url: Secret,
    admin_url: Secret,
}

/// The major version that made the data of this folder's server, if it has any.
pub(super) fn made_by(folder: &Folder) -> Option<String> {
    let version = fs::read_to_string(folder.path().join("postgres/data/PG_VERSION")).ok()?;
    Some(version.trim().to_owned())
}

impl Postgres {
    pub(super) async fn start(
        folder: &Folder,
        binaries: PostgresBinaries,
        settings: Settings,
    ) -> Result<Self, Error> {
        let home = folder.home("postgres")?;
        let data = home.join("data");
        if !data.join("PG_VERSION").exists() {
            make_data(&home, &binaries, &data).await?;
        }
        check_version(&data, &binaries)?;
        let superuser = home
            .password(SUPERUSER_PASSWORD)?
            .ok_or_else(|| Error::PasswordLost {
                file: home.join(SUPERUSER_PASSWORD),
                data: data.clone(),
            })?;
        let application = home.password_or_new(APPLICATION_PASSWORD)?;
        let control = home.password_or_new(CONTROL_PASSWORD)?;

        let pid_file = data.join("postmaster.pid");
        let left = leftover::end(
            &pid_file,
            &data,
            &["postgres", "postmaster"],
            &LEFTOVER_SIGNALS,
        )
        .await
        .map_err(Error::io("end the server of", &pid_file))?;
        if let Some(pid) = left {
            tracing::info!(pid, "ended the PostgreSQL that an earlier host left behind");
        }

        let server = PostgresServer {
            home: &home,
            program: &binaries.postgres,
            data,
            settings,
        };
        let (process, port, client) =
            ready::start(&server, |port| greet(port, superuser.clone())).await?;
        let prepared = async {
            roles::prepare(&client, &application, &control).await?;
            let inside = connect(port, &superuser, APPLICATION).await?;
            roles::prepare_schema(&inside).await
        };
        if let Err(error) = prepared.await {
            process.stop(&PATIENCE).await;
            return Err(Error::Prepare(error));
        }
        tracing::info!(port, pid = process.pid(), "the private PostgreSQL is ready");
        Ok(Self {
            process,
            url: url(APPLICATION, &application, port),
            control_url: url(CONTROL, &control, port),
            admin_url: url(SUPERUSER, &superuser, port),
        })
    }

    pub(super) fn url(&self) -> &Secret {
        &self.url
    }

    pub(super) fn control_url(&self) -> &Secret {
        &self.control_url
    }

    pub(super) fn admin_url(&self) -> &Secret {
        &self.admin_url
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) async fn ended(&self) -> ExitStatus {
        self.process.ended().await
    }

    pub(super) async fn stop(self) {
        self.process.stop(&PATIENCE).await;
    }
}

fn url(role: &str, password: &str, port: u16) -> Secret {
    Secret::new(format!(
        "postgres://{role}:{password}@127.0.0.1:{port}/{APPLICATION}"
    ))
}

/// Makes the data folder, all or nothing: a start that is cut short leaves a
/// folder that the next one throws away.
async fn make_data(home: &Home, binaries: &PostgresBinaries, data: &Path) -> Result<(), Error> {
    tracing::info!(folder = %data.display(), version = binaries.major, "making a new database");
    let password = home.password_or_new(SUPERUSER_PASSWORD)?;
    let password_file = home.write_for_server("initdb.password", &password)?;
    let new = home.new_folder("data.new")?;
    let (log, file) = home.log("initdb.log")?;
    let mut args: Vec<OsString> = [
        "--auth=scram-sha-256",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--data-checksums",
    ]
    .map(OsString::from)
    .to_vec();
    args.extend(["--pwfile".into(), password_file.clone().into()]);
    args.extend(["--pgdata".into(), new.clone().into()]);
    let initdb = Launch {
        name: "initdb",
        program: binaries.initdb.clone(),
        args,
        account: home.account.clone(),
        directory: new.clone(),
        log: file,
        end: GuardSignal::Term,
    };
    let process = Process::spawn(initdb)
        .await
        .map_err(Error::io("run", &binaries.initdb))?;
    let status = process.ended().await;
    fs::remove_file(&password_file).map_err(Error::io("remove", &password_file))?;
    if !status.success() {
        let tail = tail(&log, 10);
        return Err(Error::Ended {
            name: "initdb",
            status,
            log,
            tail,
        });
    }
    fs::rename(&new, data).map_err(Error::io("rename", &new))
}

fn check_version(data: &Path, binaries: &PostgresBinaries) -> Result<(), Error> {
    let file = data.join("PG_VERSION");
    let made_by = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
    if made_by.trim() == binaries.major {
        return Ok(());
    }
    Err(Error::Version {
        data: data.to_owned(),
        made_by: made_by.trim().to_owned(),
        found: binaries.major.clone(),
    })
}

struct PostgresServer<'a> {
    home: &'a Home,
    program: &'a Path,
    data: PathBuf,
    settings: Settings,
}

impl Server for PostgresServer<'_> {
    const NAME: &'static str = NAME;
    const READY_WITHIN: Duration = READY_WITHIN;

    fn home(&self) -> &Home {
        self.home
    }

    fn launch(&self, port: u16, log: fs::File) -> Result<Launch, Error> {
        let mut args: Vec<OsString> = vec!["-D".into(), self.data.clone().into()];
        let ours = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            // A socket's path is limited in length, and nobody asks for one.
            ("unix_socket_directories", String::new()),
            ("cluster_name", "warmlink".to_owned()),
        ];
        let given = self
            .settings
            .0
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        for (key, value) in ours.into_iter().chain(given) {
            args.push("-c".into());
            args.push(format!("{key}={value}").into());
        }
        Ok(Launch {
            name: NAME,
            program: self.program.to_owned(),
            args,
            account: self.home.account.clone(),
            directory: self.data.clone(),
            log,
            end: GuardSignal::Int,
        })
    }
}

/// One login as the superuser.
async fn greet(port: u16, password: String) -> Answer<Client> {
    match connect(port, &password, "postgres").await {
        Ok(client) => Answer::Ready(client),
        Err(error) => match error.code() {
            Some(state) if *state != SqlState::CANNOT_CONNECT_NOW => {
                Answer::Refused(describe(&error))
            }
            _ => Answer::NotYet(describe(&error)),
        },
    }
}

/// The superuser's connection to `database`. Names are the system's own there:
/// the application may have made others in its own.
async fn connect(
    port: u16,
    password: &str,
    database: &str,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(port)
        .user(SUPERUSER)
        .password(password)
        .dbname(database)
        .options("-c search_path=pg_catalog")
        .application_name("warmlink/setup")
        .connect_timeout(Duration::from_secs(5))
        .connect(NoTls)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The server's own words, which the driver's error keeps to its source.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(server) => server.message().to_owned(),
        None => error.to_string(),
    }
}
