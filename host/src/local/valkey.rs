//! The private Valkey.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use redis::{Client, ErrorKind};
use rustix::process::Signal;

use super::Settings;
use super::error::Error;
use super::folder::{Folder, Home};
use super::guard::GuardSignal;
use super::leftover;
use super::process::{Launch, Process};
use super::ready::{self, Answer, Server};
use crate::config::Secret;

const NAME: &str = "Valkey";
const PASSWORD: &str = "valkey.password";
const CONFIGURATION: &str = "valkey.conf";
const PID_FILE: &str = "server.pid";
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];

/// It reads its whole log before it answers.
const READY_WITHIN: Duration = Duration::from_secs(60);
const PATIENCE: [(Signal, Duration); 1] = [(Signal::KILL, Duration::from_secs(15))];
const LEFTOVER_SIGNALS: [(Signal, Duration); 2] = [
    (Signal::TERM, Duration::from_secs(15)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// A running private Valkey.
#[derive(Debug)]
pub(super) struct Valkey {
    process: Process,
    url: Secret,
}

impl Valkey {
    pub(super) async fn start(
        folder: &Folder,
        binary: PathBuf,
        settings: Settings,
    ) -> Result<Self, Error> {
        let home = folder.home("valkey")?;
        let data = home.join("data");
        if !data.exists() {
            home.new_folder("data")?;
        }
        let password = home.password_or_new(PASSWORD)?;
        let pid_file = data.join(PID_FILE);
        let left = leftover::end(&pid_file, &data, &PROGRAMS, &LEFTOVER_SIGNALS)
            .await
            .map_err(Error::io("end the server of", &pid_file))?;
        if let Some(pid) = left {
            tracing::info!(pid, "ended the Valkey that an earlier host left behind");
        }

        let program = reachable(&home, binary)?;
        let server = ValkeyServer {
            home: &home,
            program,
            data,
            password: &password,
            settings,
        };
        let (process, port, ()) = ready::start(&server, |port| greet(url(&password, port))).await?;
        tracing::info!(port, pid = process.pid(), "the private Valkey is ready");
        Ok(Self {
            process,
            url: Secret::new(url(&password, port)),
        })
    }

    pub(super) fn url(&self) -> &Secret {
        &self.url
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

fn url(password: &str, port: u16) -> String {
    format!("redis://default:{password}@127.0.0.1:{port}")
}

/// The program, or a copy of it in the server's home where its account cannot
/// reach the original (one that `make setup` put under a closed folder).
fn reachable(home: &Home, program: PathBuf) -> Result<PathBuf, Error> {
    let Some(account) = &home.account else {
        return Ok(program);
    };
    if account
        .barred_from(&program)
        .map_err(Error::io("open", &program))?
        .is_none()
    {
        return Ok(program);
    }
    // Its name is kept: an earlier host's server is known by it.
    let name = program.file_name().unwrap_or(PROGRAMS[0].as_ref());
    let (copy, new) = (home.path.join(name), home.join("program.new"));
    let make = || {
        fs::copy(&program, &new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        fs::rename(&new, &copy)
    };
    make().map_err(Error::io("copy", &program))?;
    Ok(copy)
}

struct ValkeyServer<'a> {
    home: &'a Home,
    program: PathBuf,
    data: PathBuf,
    password: &'a str,
    settings: Settings,
}

impl Server for ValkeyServer<'_> {
    const NAME: &'static str = NAME;
    const READY_WITHIN: Duration = READY_WITHIN;

    fn home(&self) -> &Home {
        self.home
    }

    fn launch(&self, port: u16, log: fs::File) -> Result<Launch, Error> {
        // In a file, because an argument can be read by everyone on the machine.
        let text = configuration(port, self.password, &self.data, &self.settings);
        let file = self.home.write_for_server(CONFIGURATION, &text)?;
        Ok(Launch {
            name: NAME,
            program: self.program.clone(),
            args: vec![file.into()],
            account: self.home.account.clone(),
            directory: self.data.clone(),
            log,
            end: GuardSignal::Term,
        })
    }
}

fn configuration(port: u16, password: &str, data: &Path, settings: &Settings) -> String {
    let mut text = format!(
        "bind 127.0.0.1\n\
         port {port}\n\
         requirepass {password}\n\
         daemonize no\n\
         supervised no\n\
         dir {data}\n\
         pidfile {pid_file}\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n",
        data = quoted(&data.to_string_lossy()),
        pid_file = quoted(&data.join(PID_FILE).to_string_lossy()),
    );
    for (key, value) in &settings.0 {
        // A value may be several words (`client-output-buffer-limit`), so it goes
        // as it is.
        writeln!(text, "{key} {value}").expect("writing to a string");
    }
    text
}

/// One argument of a configuration line.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One login and `PING`.
async fn greet(url: String) -> Answer<()> {
    let ping = async {
        let client = Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
    };
    match ping.await {
        Ok(_) => Answer::Ready(()),
        Err(error) if error.kind() == ErrorKind::AuthenticationFailed => {
            Answer::Refused(error.to_string())
        }
        Err(error) => Answer::NotYet(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_keeps_odd_paths_whole_and_ends_with_the_settings_given() {
        let settings = Settings(vec![("maxmemory".into(), "64mb".into())]);
        let text = configuration(7, "pw", Path::new("/a \"b\"/c"), &settings);
        assert!(text.contains("port 7\n"));
        assert!(text.contains("requirepass pw\n"));
        assert!(text.contains("dir \"/a \\\"b\\\"/c\"\n"));
        assert!(text.contains("save \"\"\n"));
        assert!(text.ends_with("maxmemory 64mb\n"));
    }
}
