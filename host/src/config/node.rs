//! The settings of one node.

use super::quantity::{DURATION_HELP, SIZE_HELP, parse_duration, parse_size};
use super::trace::TraceArgs;
use super::{Faults, Secret};
use crate::telemetry::logging::Format;
use crate::telemetry::trace;
use clap::Args;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Loopback: opening a node to a network is a decision, not a default.
const LISTEN: &str = "127.0.0.1:3000";

/// Beside the public port.
const ADMIN_LISTEN: &str = "127.0.0.1:3001";

/// The folder of private servers, compiled code and downloads.
const STATE: &str = ".warmlink";

/// The migrations' library tells what the host tells already.
const LOG: &str = "info,refinery_core=warn";

/// What the name in `application_name` may take of PostgreSQL's 63 bytes.
const NODE_BYTES: usize = 48;

/// Fewest characters of an admin token: what is guessed at a thousand tries a
/// second outlasts the machine.
const TOKEN_BYTES: usize = 16;

/// Flags and environment as they were written. Texts, so that every fault is
/// found and reported at once.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// Where clients connect; port 0 takes a free one.
    #[arg(long, env = "WARMLINK_LISTEN", default_value = LISTEN, value_name = "ADDRESS")]
    listen: String,
    /// Where probes, metrics and commands connect; port 0 takes a free one.
    #[arg(long, env = "WARMLINK_ADMIN_LISTEN", default_value = ADMIN_LISTEN, value_name = "ADDRESS")]
    admin_listen: String,
    /// The folder of private servers, compiled code and downloads.
    #[arg(long, env = "WARMLINK_STATE", default_value = STATE, value_name = "DIR")]
    state: PathBuf,
    /// The folder of compiled code [default: `cache` in the state folder].
    #[arg(long, env = "WARMLINK_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// This node's name, as the database shows it [default: the host's name].
    #[arg(long, env = "WARMLINK_NODE", value_name = "NAME")]
    node: Option<String>,
    /// How many nodes share the database, for the check against its
    /// `max_connections`.
    #[arg(
        long,
        env = "WARMLINK_NODES",
        default_value = "1",
        value_name = "COUNT"
    )]
    nodes: String,
    /// How many cores serve requests [default: all there are].
    #[arg(long, env = "WARMLINK_CORES", value_name = "COUNT")]
    cores: Option<String>,
    /// Memory that all instances of components may hold together [default: three
    /// quarters of what the process may have].
    #[arg(long, env = "WARMLINK_MEMORY", value_name = "SIZE")]
    memory: Option<String>,
    /// How long requests are still taken after the signal to end, while
    /// balancers learn of it.
    #[arg(
        long,
        env = "WARMLINK_DRAIN_DELAY",
        default_value = "0s",
        value_name = "DURATION"
    )]
    drain_delay: String,
    /// Which log lines are written: a level, or a filter such as
    /// `info,warmlink=debug`.
    #[arg(
        long,
        env = "WARMLINK_LOG",
        default_value = LOG,
        value_name = "FILTER"
    )]
    log: String,
    /// How they look: `text`, `json`, or `auto` for text on a terminal only.
    #[arg(
        long,
        env = "WARMLINK_LOG_FORMAT",
        default_value = "auto",
        value_name = "FORMAT"
    )]
    log_format: String,
    /// The database; without it `up` starts a private one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<Secret>,
    /// The Valkey; without it `up` starts a private one, and an empty text
    /// means that there is none.
    #[arg(long, env = "VALKEY_URL", hide_env_values = true, value_name = "URL")]
    valkey_url: Option<Secret>,
    /// The database that nodes share what is deployed in, as a role of its own
    /// that owns the schema `warmlink`. With a private database it is there
    /// already; else, without it, what is deployed stays with this node.
    #[arg(
        long,
        env = "WARMLINK_CONTROL_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    control_url: Option<Secret>,
    #[command(flatten)]
    trace: TraceArgs,
    /// What commands have to present: of the environment alone, since every
    /// process of the machine can read a flag.
    #[arg(skip = admin_token())]
    admin_token: Option<Secret>,
}

fn admin_token() -> Option<Secret> {
    std::env::var("WARMLINK_ADMIN_TOKEN").ok().map(Secret::from)
}

/// The servers that the environment names.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The database, where it is not to be a private one.
    pub database: Option<Secret>,
    /// The Valkey, where it is not to be a private one; empty for none.
    pub valkey: Option<Secret>,
    /// The control database, where it is not to be a private one; empty for
    /// none.
    pub control: Option<Secret>,
}

/// How a node runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where probes and scrapers connect.
    pub admin_listen: SocketAddr,
    /// The folder of private servers and downloads.
    pub state: PathBuf,
    /// The folder of compiled code.
    pub cache: PathBuf,
    /// This node's name.
    pub node: String,
    /// How many nodes share the database.
    pub nodes: NonZeroU32,
    /// How many cores serve requests.
    pub cores: NonZeroUsize,
    /// Bytes that all instances may hold together, where that is said.
    pub memory: Option<u64>,
    /// From the signal to end until the drain.
    pub drain_delay: Duration,
    /// What commands have to present.
    pub admin_token: Option<Secret>,
    /// Which log lines are written.
    pub log: String,
    /// How they look.
    pub log_format: Format,
    /// Where traces go, where they go anywhere.
    pub trace: Option<trace::Settings>,
}

impl NodeArgs {
    /// The servers' addresses, which the manifest is read with.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            database: self.database_url.clone(),
            valkey: self.valkey_url.clone(),
            control: self.control_url.clone(),
        }
    }

    /// Reads every setting.
    ///
    /// # Errors
    ///
    /// All that is wrong, each by its variable.
    pub fn resolve(self) -> Result<Config, Faults> {
        let mut faults = Faults::default();
        let address = |faults: &mut Faults, key: &str, text: &str| {
            read::<SocketAddr>(
                faults,
                key,
                text,
                "write an address and a port, as in \"0.0.0.0:3000\" or \"[::]:3000\"",
            )
        };
        let listen = address(&mut faults, "WARMLINK_LISTEN", &self.listen);
        let admin_listen = address(&mut faults, "WARMLINK_ADMIN_LISTEN", &self.admin_listen);
        if let (Some(listen), Some(admin)) = (listen, admin_listen)
            && listen == admin
            && listen.port() != 0
        {
            faults.add(
                "WARMLINK_ADMIN_LISTEN",
                "is the address of the public listener too",
                "give the admin listener a port of its own",
            );
        }
        let count = "write a whole number from 1 on";
        let nodes = read::<NonZeroU32>(&mut faults, "WARMLINK_NODES", &self.nodes, count);
        let cores = match &self.cores {
            None => Some(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            Some(text) => read(&mut faults, "WARMLINK_CORES", text, count),
        };
        let memory = self.memory.as_deref().map(parse_size).transpose();
        let memory = memory
            .map_err(|message| faults.add("WARMLINK_MEMORY", message, SIZE_HELP))
            .ok();
        let drain_delay = parse_duration(&self.drain_delay)
            .map_err(|message| faults.add("WARMLINK_DRAIN_DELAY", message, DURATION_HELP))
            .ok();
        let log_format = match self.log_format.as_str() {
            "auto" => Some(Format::Auto),
            "json" => Some(Format::Json),
            "text" => Some(Format::Text),
            other => {
                faults.add(
                    "WARMLINK_LOG_FORMAT",
                    format!("{other:?} is no format"),
                    "write \"auto\", \"json\" or \"text\"",
                );
                None
            }
        };
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log) {
            faults.add(
                "WARMLINK_LOG",
                error.to_string(),
                "write a level (\"info\") or a filter (\"info,warmlink=debug\")",
            );
        }
        let node = self.node.unwrap_or_else(host_name);
        if node.is_empty() || node.len() > NODE_BYTES || !node.chars().all(|c| c.is_ascii_graphic())
        {
            faults.add(
                "WARMLINK_NODE",
                format!("{node:?} is no name for a node"),
                format!("write 1 to {NODE_BYTES} printable ASCII characters without spaces"),
            );
        }
        let trace = self.trace.resolve(&node, &mut faults);
        let admin_token = self.admin_token.filter(|token| !token.is_empty());
        if let Some(token) = &admin_token
            && (token.expose().len() < TOKEN_BYTES
                || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            faults.add(
                "WARMLINK_ADMIN_TOKEN",
                "is no token",
                format!(
                    "write {TOKEN_BYTES} or more printable ASCII characters without spaces, as \
                     `openssl rand -hex 32` gives them"
                ),
            );
        }
        let read = (|| {
            Some(Config {
                listen: listen?,
                admin_listen: admin_listen?,
                cache: self.cache.unwrap_or_else(|| self.state.join("cache")),
                state: self.state,
                node,
                nodes: nodes?,
                cores: cores?,
                memory: memory?.map(|bytes| bytes as u64),
                drain_delay: drain_delay?,
                admin_token,
                log: self.log,
                log_format: log_format?,
                trace,
            })
        })();
        match read {
            Some(config) => faults.or(config),
            None => Err(faults),
        }
    }
}

fn read<T>(faults: &mut Faults, key: &str, text: &str, help: &str) -> Option<T>
where
    T: FromStr<Err: Display>,
{
    text.trim()
        .parse()
        .map_err(|error| faults.add(key, format!("{text:?}: {error}"), help))
        .ok()
}

/// The machine's name up to its first dot, made fit to be a node's.
fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let short: String = name
        .split('.')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(NODE_BYTES)
        .collect();
    if short.is_empty() {
        "node".into()
    } else {
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        node: NodeArgs,
    }

    fn resolve(flags: &[&str]) -> Result<Config, Faults> {
        let line = ["warmlink"].iter().chain(flags);
        Line::try_parse_from(line).unwrap().node.resolve()
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let faults = resolve(&[
            "--listen=localhost",
            "--nodes=0",
            "--cores=many",
            "--memory=some",
            "--drain-delay=5",
            "--log-format=xml",
            "--node=a b",
        ])
        .unwrap_err();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "WARMLINK_LISTEN",
                "WARMLINK_NODES",
                "WARMLINK_CORES",
                "WARMLINK_MEMORY",
                "WARMLINK_DRAIN_DELAY",
                "WARMLINK_LOG_FORMAT",
                "WARMLINK_NODE",
            ]
        );
    }

    #[test]
    fn the_listeners_need_two_addresses() {
        let same = ["--listen=127.0.0.1:9", "--admin-listen=127.0.0.1:9"];
        assert_eq!(resolve(&same).unwrap_err().len(), 1);
        let free = ["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
        assert!(resolve(&free).is_ok());
    }

    #[test]
    fn compiled_code_lies_in_the_state_folder() {
        let config = resolve(&["--state=/s"]).unwrap();
        assert_eq!(config.cache, PathBuf::from("/s/cache"));
    }
}
