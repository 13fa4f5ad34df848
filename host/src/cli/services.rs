//! `warmlink services`: the private PostgreSQL and Valkey alone, in the
//! foreground.

use std::io::{Read as _, Write as _, stdin};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, thread};

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Failure, runtime};
use crate::config::Secret;
use crate::local::{Options, Services, Settings};

/// Starts the private servers without the host, and stops them when it is told
/// to end: by SIGTERM or SIGINT, or by the end of its standard input, where that
/// is a terminal or a pipe.
///
/// Prints one line of JSON when all of them answer.
#[derive(Debug, Args)]
pub(super) struct ServicesArgs {
    /// Where their data lives.
    #[arg(
        long,
        env = "WARMLINK_STATE",
        default_value = ".warmlink",
        value_name = "DIR"
    )]
    state: PathBuf,
    /// Leave PostgreSQL out.
    #[arg(long)]
    no_postgres: bool,
    /// Leave Valkey out.
    #[arg(long)]
    no_valkey: bool,
    /// A setting of PostgreSQL's: `max_connections=20`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = postgres_setting)]
    postgres_set: Vec<(String, String)>,
    /// A setting of Valkey's: `maxmemory=64mb`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = valkey_setting)]
    valkey_set: Vec<(String, String)>,
}

/// What is printed when the servers are ready; a server left out is `null`.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    database_url: Option<&'a str>,
    control_url: Option<&'a str>,
    database_admin_url: Option<&'a str>,
    valkey_url: Option<&'a str>,
    postgres_pid: Option<u32>,
    valkey_pid: Option<u32>,
}

/// Runs until told to end.
///
/// # Errors
///
/// When a server cannot be started, or all of them ended by themselves.
pub(super) fn run(args: ServicesArgs) -> Result<ExitCode, Failure> {
    let options = Options {
        state: args.state,
        postgres: (!args.no_postgres).then_some(Settings(args.postgres_set)),
        valkey: (!args.no_valkey).then_some(Settings(args.valkey_set)),
    };
    runtime()?.block_on(serve(options))
}

async fn serve(options: Options) -> Result<ExitCode, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told = std::pin::pin!(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = input_ended() => {}
        }
    });
    let services = tokio::select! {
        // Dropping a start half done ends what it started.
        () = &mut told => return Ok(ExitCode::SUCCESS),
        services = Services::start(options) => services?,
    };
    announce(&services)?;
    tokio::select! {
        () = &mut told => {
            services.stop().await;
            Ok(ExitCode::SUCCESS)
        }
        (name, status) = services.all_ended() => {
            Err(Failure::other(format!("{name} ended by itself ({status})")))
        }
    }
}

fn announce(services: &Services) -> Result<(), Failure> {
    let ready = Ready {
        database_url: services.database_url().map(Secret::expose),
        control_url: services.control_url().map(Secret::expose),
        database_admin_url: services.database_admin_url().map(Secret::expose),
        valkey_url: services.valkey_url().map(Secret::expose),
        postgres_pid: services.postgres_pid(),
        valkey_pid: services.valkey_pid(),
    };
    let line = serde_json::to_string(&ready).map_err(std::io::Error::other)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Resolves when whoever started us closes our standard input. Never resolves
/// where input is neither a pipe nor a terminal: `/dev/null` has ended always.
async fn input_ended() {
    let (ended, waiting) = oneshot::channel::<()>();
    if !input_can_end() {
        return std::future::pending().await;
    }
    // A thread, because a read of standard input cannot be called off.
    thread::spawn(move || {
        let mut scrap = [0; 256];
        while matches!(stdin().lock().read(&mut scrap), Ok(read) if read > 0) {}
        drop(ended);
    });
    let _ = waiting.await;
}

fn input_can_end() -> bool {
    use std::io::IsTerminal as _;
    if stdin().is_terminal() {
        return true;
    }
    let kind = stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|input| fs::File::from(input).metadata())
        .map(|metadata| metadata.file_type());
    matches!(kind, Ok(kind) if kind.is_fifo() || kind.is_socket())
}

fn postgres_setting(text: &str) -> Result<(String, String), String> {
    setting(
        text,
        &["listen_addresses", "port", "unix_socket_directories"],
    )
}

fn valkey_setting(text: &str) -> Result<(String, String), String> {
    setting(
        text,
        &["bind", "port", "requirepass", "daemonize", "dir", "pidfile"],
    )
}

/// Reads `key=value`. The keys by which we reach and find the server are ours.
fn setting(text: &str, ours: &[&str]) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.is_empty() || !key.chars().all(plain) {
        return Err(format!("`{key}` is not the name of a setting"));
    }
    if ours.iter().any(|taken| taken.eq_ignore_ascii_case(key)) {
        return Err(format!("`{key}` is set by warmlink itself"));
    }
    if value.contains(['\n', '\r', '\0']) {
        return Err(format!("the value of `{key}` must be one line"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_split_at_the_first_sign() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(
            postgres_setting("max_connections=20"),
            pair("max_connections", "20")
        );
        assert_eq!(
            postgres_setting("search_path=a=b"),
            pair("search_path", "a=b")
        );
        assert_eq!(valkey_setting("save=60 1"), pair("save", "60 1"));
    }

    #[test]
    fn settings_that_would_lose_the_server_are_refused() {
        for text in [
            "port=5432",
            "PORT=5432",
            "max_connections",
            "=1",
            "a b=1",
            "a=1\nport 2",
        ] {
            assert!(postgres_setting(text).is_err(), "{text:?}");
            assert!(valkey_setting(text).is_err(), "{text:?}");
        }
    }
}
