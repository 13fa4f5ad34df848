//! Addresses: URL or libpq key-value text, reduced to one canonical target.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::conninfo;
use crate::pool::origin::Origin;

const DEFAULT_PORT: u16 = 5432;
const DEFAULT_HOST: &str = "localhost";

/// Why an address was not understood. Never quotes the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither a URL nor `key=value` text.
    #[error("not a postgres:// URL and not libpq key=value text")]
    Malformed,
    /// An option of libpq that this host does not take, or no option at all.
    #[error("the option `{0}` is not supported")]
    Option(&'static str),
    /// An option that nobody knows. Its name is not shown: in a text with a
    /// quoting mistake it may be part of the password.
    #[error("an option is not known to PostgreSQL; check the quoting of the values")]
    UnknownOption,
    /// The value of a known option.
    #[error("the value of `{0}` is not valid")]
    Value(&'static str),
    /// `hostaddr=a,b`, or `host=a,b hostaddr=c`.
    #[error("`hostaddr` is for one host")]
    SeveralAddresses,
    /// `host=a,b,c port=1,2`.
    #[error("several ports, and not one for each host")]
    Ports,
    /// No user in the address nor in the environment.
    #[error("no user named, and neither PGUSER, USER nor LOGNAME is set")]
    NoUser,
    /// The certificates that the server's are checked against.
    #[error("the root certificates cannot be used: {0}")]
    RootCertificates(String),
}

/// How far TLS goes; libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Where the trusted certificates come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Roots {
    /// Those of the system.
    System,
    /// A PEM file, libpq's `sslrootcert`.
    File(PathBuf),
    /// PEM text given by the caller.
    Pem(Arc<[u8]>),
}

/// One database, as one role: what a pool is made for. Two texts that mean the
/// same are equal, whatever their form, order and omitted defaults.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Complete: at least one host, a port for each, a user and a database.
    pub(super) config: Config,
    pub(super) tls: TlsMode,
    /// `None` is libpq's "no `sslrootcert`".
    pub(super) roots: Option<Roots>,
}

impl Target {
    /// Reads a `postgres://` (or `postgresql://`) URL or libpq's `key=value`
    /// text. What is left out is filled in: `localhost`, 5432, the user of the
    /// environment, the database named as the user.
    ///
    /// # Errors
    /// Says which option is at fault, never its value.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let split = conninfo::split(text.trim())?;
        let given: Config = split.rest.parse().map_err(|error| fault(&error))?;
        let config = complete(&given)?;
        let tls = match split.sslmode.as_deref() {
            None | Some("prefer") => TlsMode::Prefer,
            Some("disable") => TlsMode::Disable,
            Some("require") => TlsMode::Require,
            Some("verify-ca") => TlsMode::VerifyCa,
            Some("verify-full") => TlsMode::VerifyFull,
            Some(_) => return Err(AddressError::Value("sslmode")),
        };
        let roots = match split.sslrootcert.as_deref() {
            None | Some("") => None,
            Some("system") => Some(Roots::System),
            Some(path) => Some(Roots::File(path.into())),
        };
        let mut target = Self { config, tls, roots };
        target.config.ssl_mode(match tls {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        Ok(target)
    }

    /// The same target, its server's certificate checked against these
    /// certificates (PEM) instead of the system's or `sslrootcert`.
    ///
    /// Who names an authority wants to know the server: the connection is
    /// refused where the server does not speak TLS or is not the one named,
    /// unless the address itself asks for less (`verify-ca`, `disable`).
    #[must_use]
    pub fn with_root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots = Some(Roots::Pem(pem.into()));
        if matches!(self.tls, TlsMode::Prefer | TlsMode::Require) {
            self.tls = TlsMode::VerifyFull;
            self.config.ssl_mode(SslMode::Require);
        }
        self
    }

    /// Reads the root certificates that the server's is checked against, if it
    /// is: what is wrong with them shows before the first connection.
    ///
    /// # Errors
    /// [`AddressError::RootCertificates`].
    pub fn check(&self) -> Result<(), AddressError> {
        super::tls::connector(self).map(drop)
    }

    /// Scheme, host and port of each server, in the order of the address.
    #[must_use]
    pub fn servers(&self) -> Vec<Origin> {
        self.places()
            .map(|(host, port)| Origin {
                scheme: "postgres",
                host: match host {
                    Host::Tcp(name) => name.clone(),
                    #[cfg(unix)]
                    Host::Unix(path) => path.display().to_string(),
                },
                port,
            })
            .collect()
    }

    /// All that an allow-list has to grant: the servers, and the address that
    /// the connection goes to if the text gives one apart (`hostaddr`).
    #[must_use]
    pub fn origins(&self) -> Vec<Origin> {
        let mut origins = self.servers();
        let apart = self.config.get_hostaddrs().first().map(|address| Origin {
            host: address.to_string(),
            ..origins[0].clone()
        });
        origins.extend(apart.filter(|apart| *apart != origins[0]));
        origins
    }

    /// `host:port` of each server, with commas between.
    pub(super) fn authority(&self) -> String {
        let servers = self.servers();
        let servers = servers.iter().map(Origin::authority);
        servers.collect::<Vec<_>>().join(",")
    }

    /// Whether connecting reads a file of this machine (`sslrootcert`).
    #[must_use]
    pub fn names_a_file(&self) -> bool {
        matches!(self.roots, Some(Roots::File(_)))
    }

    /// The role that the pool signs on as.
    #[must_use]
    pub fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    fn places(&self) -> impl Iterator<Item = (&Host, u16)> {
        let ports = self.config.get_ports().iter().copied();
        self.config.get_hosts().iter().zip(ports)
    }
}

/// Checks what is ours to check and fills in the defaults.
fn complete(given: &Config) -> Result<Config, AddressError> {
    let (hosts, ports) = (given.get_hosts(), given.get_ports());
    let apart = given.get_hostaddrs();
    if apart.len() > 1 || (hosts.len() > 1 && !apart.is_empty()) {
        return Err(AddressError::SeveralAddresses);
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(AddressError::Ports);
    }
    // The setters append, so the places are set on a copy that has none.
    let mut config = without_places(given);
    let unnamed = [Host::Tcp(String::new())];
    let hosts = if hosts.is_empty() { &unnamed } else { hosts };
    for (at, host) in hosts.iter().enumerate() {
        match (host, apart.first()) {
            (Host::Tcp(name), Some(address)) if name.is_empty() => config.host(address.to_string()),
            (Host::Tcp(name), None) if name.is_empty() => config.host(DEFAULT_HOST),
            (Host::Tcp(name), _) => config.host(name.to_ascii_lowercase()),
            (Host::Unix(directory), _) => config.host_path(directory),
        };
        let port = ports.get(at).or(ports.first());
        config.port(port.copied().unwrap_or(DEFAULT_PORT));
    }
    if config.get_user().is_none_or(str::is_empty) {
        let user = ["PGUSER", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
        config.user(user.ok_or(AddressError::NoUser)?);
    }
    if config.get_dbname().is_none_or(str::is_empty) {
        let user = config.get_user().unwrap_or_default().to_owned();
        config.dbname(user);
    }
    Ok(config)
}

/// A copy of everything but the hosts and their ports.
fn without_places(given: &Config) -> Config {
    let mut config = Config::new();
    if let Some(user) = given.get_user() {
        config.user(user);
    }
    if let Some(password) = given.get_password() {
        config.password(password);
    }
    if let Some(name) = given.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = given.get_options() {
        config.options(options);
    }
    if let Some(name) = given.get_application_name() {
        config.application_name(name);
    }
    if let Some(timeout) = given.get_connect_timeout() {
        config.connect_timeout(*timeout);
    }
    if let Some(timeout) = given.get_tcp_user_timeout() {
        config.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = given.get_keepalives_interval() {
        config.keepalives_interval(interval);
    }
    if let Some(retries) = given.get_keepalives_retries() {
        config.keepalives_retries(retries);
    }
    for address in given.get_hostaddrs() {
        config.hostaddr(*address);
    }
    config
        .ssl_negotiation(given.get_ssl_negotiation())
        .keepalives(given.get_keepalives())
        .keepalives_idle(given.get_keepalives_idle())
        .target_session_attrs(given.get_target_session_attrs())
        .channel_binding(given.get_channel_binding())
        .load_balance_hosts(given.get_load_balance_hosts());
    config
}

/// Names the option without quoting what was written.
fn fault(error: &tokio_postgres::Error) -> AddressError {
    let text = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
    if text.starts_with("unknown option") {
        return conninfo::UNSUPPORTED
            .iter()
            .find(|name| text.contains(&format!("`{name}`")))
            .map_or(AddressError::UnknownOption, |name| {
                AddressError::Option(name)
            });
    }
    if text.starts_with("invalid value") {
        return conninfo::SUPPORTED
            .iter()
            .find(|name| text.contains(&format!("`{name}`")))
            .map_or(AddressError::Malformed, |name| AddressError::Value(name));
    }
    AddressError::Malformed
}

impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.servers().hash(state);
        self.user().hash(state);
        self.database().hash(state);
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "postgres://{}/{} as {}",
            self.authority(),
            self.database(),
            self.user()
        )
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
