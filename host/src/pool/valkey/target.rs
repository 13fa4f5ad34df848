use std::fmt;
use std::hash::{Hash, Hasher};

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// An idle connection is probed after this time, and then at this interval, so
/// that a path that silently went away is noticed before a command needs it.
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(15);

/// A server, a database on it and the account to use: what one pool is for.
///
/// Two addresses that mean the same are equal, however they are spelled.
/// `Debug` and `Display` leave the account out.
#[derive(Clone)]
pub struct Target {
    /// As written in the address, because allow-lists go by it.
    scheme: &'static str,
    tls: bool,
    host: String,
    port: u16,
    database: i64,
    username: Option<String>,
    password: Option<String>,
}

/// Why an address is not a [`Target`]. Holds no part of the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("not a URL of the form redis://[user[:password]@]host[:port][/database]")]
    Malformed,
    #[error("the scheme is none of redis, rediss, valkey, valkeys")]
    Scheme,
    #[error("TLS without verifying the certificate is not supported")]
    Insecure,
    #[error("the database is not a number from 0 on")]
    Database,
}

impl Target {
    /// Parses `redis://`, `valkey://` and, for TLS, `rediss://`, `valkeys://`.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        let address = address.trim();
        let scheme = match address.split_once("://").ok_or(AddressError::Malformed)?.0 {
            "redis" => "redis",
            "rediss" => "rediss",
            "valkey" => "valkey",
            "valkeys" => "valkeys",
            _ => return Err(AddressError::Scheme),
        };
        let info = address
            .into_connection_info()
            .map_err(|_| AddressError::Malformed)?;
        let (tls, host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (false, host, *port),
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(AddressError::Insecure),
            ConnectionAddr::TcpTls { host, port, .. } => (true, host, *port),
            _ => return Err(AddressError::Scheme),
        };
        if host.is_empty() {
            return Err(AddressError::Malformed);
        }
        let settings = info.redis_settings();
        if settings.db() < 0 {
            return Err(AddressError::Database);
        }
        Ok(Self {
            scheme,
            tls,
            host: host.to_ascii_lowercase(),
            port,
            database: settings.db(),
            // Servers know an account without a name as `default`.
            username: settings
                .username()
                .filter(|name| *name != "default")
                .map(str::to_owned),
            password: settings.password().map(str::to_owned),
        })
    }

    /// Scheme, host and port: what `allowed_outbound_hosts` is matched with.
    pub fn origin(&self) -> (&'static str, &str, u16) {
        (self.scheme, &self.host, self.port)
    }

    /// What the client library needs to connect.
    pub(super) fn connection_info(&self) -> ConnectionInfo {
        let addr = if self.tls {
            ConnectionAddr::TcpTls {
                host: self.host.clone(),
                port: self.port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(self.host.clone(), self.port)
        };
        let mut settings = redis::RedisConnectionInfo::default()
            .set_db(self.database)
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("warmlink", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        // Without TCP_NODELAY a command that is written while an earlier one
        // is unacknowledged waits for the peer's delayed acknowledgement, up
        // to 40 ms. The client library leaves it off.
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(
            TcpKeepalive::new()
                .with_time(KEEPALIVE)
                .with_interval(KEEPALIVE),
        );
        addr.into_connection_info()
            .expect("an address in parts needs no parsing")
            .set_redis_settings(settings)
            .set_tcp_settings(tcp)
    }

    fn identity(&self) -> (bool, &str, u16, i64, Option<&str>, Option<&str>) {
        (
            self.tls,
            &self.host,
            self.port,
            self.database,
            self.username.as_deref(),
            self.password.as_deref(),
        )
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Target {}

impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            host,
            port,
            database,
            ..
        } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}/{database}")
        } else {
            write!(f, "{scheme}://{host}:{port}/{database}")
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> Target {
        Target::parse(address).unwrap()
    }

    #[test]
    fn spellings_of_one_target_are_equal() {
        let plain = parse("redis://cache.example");
        for same in [
            "redis://cache.example:6379",
            "redis://CACHE.example/0",
            "valkey://cache.example:6379/",
            "redis://default@cache.example",
            "redis://cache.example/?protocol=resp3",
        ] {
            assert_eq!(plain, parse(same), "{same}");
        }
    }

    #[test]
    fn what_differs_is_another_target() {
        let plain = parse("redis://cache.example");
        for other in [
            "redis://cache.example:6380",
            "redis://cache.example/1",
            "rediss://cache.example",
            "redis://:secret@cache.example",
            "redis://ann@cache.example",
            "redis://other.example",
        ] {
            assert_ne!(plain, parse(other), "{other}");
        }
    }

    #[test]
    fn the_origin_keeps_the_scheme_as_written() {
        assert_eq!(parse("valkeys://a:1/3").origin(), ("valkeys", "a", 1));
        assert_eq!(parse("redis://[::1]").origin(), ("redis", "::1", 6379));
    }

    #[test]
    fn no_secret_is_printed() {
        let target = parse("redis://ann:s3cret@cache.example:6380/2");
        let printed = format!("{target} {target:?}");
        assert!(
            !printed.contains("s3cret") && !printed.contains("ann"),
            "{printed}"
        );
        assert!(
            printed.contains("redis://cache.example:6380/2"),
            "{printed}"
        );
        assert_eq!(parse("redis://[::1]").to_string(), "redis://[::1]:6379/0");
    }

    #[test]
    fn escapes_in_the_account_are_decoded() {
        let target = parse("redis://a%40b:p%2Fw@h");
        assert_eq!(target.username.as_deref(), Some("a@b"));
        assert_eq!(target.password.as_deref(), Some("p/w"));
    }

    #[test]
    fn bad_addresses_are_named() {
        for (address, error) in [
            ("", AddressError::Malformed),
            ("cache.example", AddressError::Malformed),
            ("redis://", AddressError::Malformed),
            ("redis://h/one", AddressError::Malformed),
            ("redis://h/-1", AddressError::Database),
            ("http://h", AddressError::Scheme),
            ("redis+unix:///run/valkey.sock", AddressError::Scheme),
            ("rediss://h/#insecure", AddressError::Insecure),
        ] {
            assert_eq!(Target::parse(address), Err(error), "{address}");
        }
    }
}
