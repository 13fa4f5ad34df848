use std::fmt;
use std::hash::{Hash, Hasher};

use crate::pool::origin::{Origin, Peer};
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
    /// Who says where the primary is; the host above is then the first of them.
    sentinels: Option<Sentinels>,
}

/// Sentinels, and what they watch.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Sentinels {
    pub(super) places: Vec<(String, u16)>,
    /// The name that they know the primary by.
    pub(super) service: String,
    username: Option<String>,
    password: Option<String>,
}

/// The port of a sentinel where none is given.
const SENTINEL_PORT: u16 = 26_379;

/// Why an address is not a [`Target`]. Holds no part of the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("not a URL of the form redis://[user[:password]@]host[:port][/database]")]
    Malformed,
    #[error(
        "the scheme is none of redis, rediss, valkey, valkeys, redis-sentinel, rediss-sentinel"
    )]
    Scheme,
    #[error("sentinels are not told what they watch: the address ends with no #service")]
    Service,
    #[error("an option is neither sentinel_username nor sentinel_password")]
    Option,
    #[error("TLS without verifying the certificate is not supported")]
    Insecure,
    #[error("the database is not a number from 0 on")]
    Database,
}

impl Target {
    /// Parses `redis://`, `valkey://` and, for TLS, `rediss://`, `valkeys://`; and
    /// `redis-sentinel://[ACCOUNT@]HOST[:PORT],…[/DATABASE][?OPTIONS]#SERVICE`, or
    /// `rediss-sentinel`, where the account is that of the server, and the options
    /// `sentinel_username` and `sentinel_password` are that of its sentinels.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        let address = address.trim();
        let (scheme, rest) = address.split_once("://").ok_or(AddressError::Malformed)?;
        let scheme = match scheme {
            "redis" => "redis",
            "rediss" => "rediss",
            "valkey" => "valkey",
            "valkeys" => "valkeys",
            "redis-sentinel" => return Self::behind_sentinels("redis", rest),
            "rediss-sentinel" => return Self::behind_sentinels("rediss", rest),
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
            sentinels: None,
        })
    }

    fn behind_sentinels(scheme: &'static str, rest: &str) -> Result<Self, AddressError> {
        let (rest, service) = rest.split_once('#').ok_or(AddressError::Service)?;
        let service = decoded(service).filter(|name| !name.is_empty());
        let service = service.ok_or(AddressError::Service)?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (account, rest) = match rest.rsplit_once('@') {
            Some((account, rest)) => (format!("{account}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let mut targets = Vec::new();
        for host in hosts.split(',') {
            let after_brackets = host.rsplit(']').next().unwrap_or_default();
            let port = match after_brackets.contains(':') {
                true => String::new(),
                false => format!(":{SENTINEL_PORT}"),
            };
            let server = format!("{scheme}://{account}{host}{port}/{database}");
            targets.push(Self::parse(&server)?);
        }
        let mut sentinels = Sentinels {
            places: targets
                .iter()
                .map(|it| (it.host.clone(), it.port))
                .collect(),
            service,
            username: None,
            password: None,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or(AddressError::Malformed)?;
            let value = Some(decoded(value).ok_or(AddressError::Malformed)?);
            match name {
                "sentinel_username" => sentinels.username = value,
                "sentinel_password" => sentinels.password = value,
                _ => return Err(AddressError::Option),
            }
        }
        let mut target = targets.swap_remove(0);
        target.sentinels = Some(sentinels);
        Ok(target)
    }

    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        self.sentinels.as_ref()
    }

    /// Scheme, host and port of each server that the address names: what
    /// `allowed_outbound_hosts` is matched with. Where those are sentinels, what they
    /// say needs no other grant.
    pub fn origins(&self) -> Vec<Origin> {
        let origin = |(host, port): (&String, u16)| Origin {
            scheme: self.scheme,
            host: host.clone(),
            port,
        };
        match &self.sentinels {
            None => vec![origin((&self.host, self.port))],
            Some(sentinels) => {
                let places = sentinels.places.iter();
                places.map(|(host, port)| origin((host, *port))).collect()
            }
        }
    }

    pub(super) fn peer(&self) -> Peer {
        Peer::new(&self.origins(), self.database.to_string())
    }

    /// What the client library needs to connect.
    pub(super) fn connection_info(&self) -> ConnectionInfo {
        self.info_at(&self.host, self.port)
    }

    /// The same for a server at another place.
    pub(super) fn info_at(&self, host: &str, port: u16) -> ConnectionInfo {
        let account = (self.username.as_deref(), self.password.as_deref());
        self.info(host, port, account, self.database)
    }

    /// And for one of its sentinels.
    pub(super) fn sentinel_info(
        &self,
        sentinels: &Sentinels,
        host: &str,
        port: u16,
    ) -> ConnectionInfo {
        let (username, password) = (&sentinels.username, &sentinels.password);
        self.info(host, port, (username.as_deref(), password.as_deref()), 0)
    }

    fn info(
        &self,
        host: &str,
        port: u16,
        (username, password): (Option<&str>, Option<&str>),
        database: i64,
    ) -> ConnectionInfo {
        let addr = if self.tls {
            ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host.to_owned(), port)
        };
        let mut settings = redis::RedisConnectionInfo::default()
            .set_db(database)
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("warmlink", env!("CARGO_PKG_VERSION"));
        if let Some(username) = username {
            settings = settings.set_username(username);
        }
        if let Some(password) = password {
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

    fn identity(&self) -> impl Eq + Hash {
        (
            &self.sentinels,
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
        match &self.sentinels {
            None => write!(f, "{}/{}", self.origins()[0], self.database),
            Some(sentinels) => {
                write!(f, "{}-sentinel://", self.scheme)?;
                for (at, origin) in self.origins().iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{}", origin.authority())?;
                }
                write!(f, "/{}#{}", self.database, sentinels.service)
            }
        }
    }
}

/// What was percent-encoded; none where that was not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    Some(decoded.ok()?.into_owned())
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

    fn origins(address: &str) -> Vec<String> {
        let origins = parse(address).origins();
        origins.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_origin_keeps_the_scheme_as_written() {
        assert_eq!(origins("valkeys://a:1/3"), ["valkeys://a:1"]);
        assert_eq!(origins("redis://[::1]"), ["redis://[::1]:6379"]);
    }

    #[test]
    fn sentinels_are_named_with_what_they_watch() {
        let text = "redis-sentinel://ann:s3cret@A,b:1,[::1]/2?sentinel_password=w%40tch#main";
        assert_eq!(
            origins(text),
            ["redis://a:26379", "redis://b:1", "redis://[::1]:26379"]
        );
        let target = parse(text);
        let sentinels = target.sentinels().unwrap();
        assert_eq!(sentinels.service, "main");
        assert_eq!(sentinels.username, None);
        assert_eq!(sentinels.password.as_deref(), Some("w@tch"));
        assert_eq!(
            (target.database, target.password.as_deref()),
            (2, Some("s3cret"))
        );
        let shown = "redis-sentinel://a:26379,b:1,[::1]:26379/2#main";
        assert_eq!(target.to_string(), shown);
        assert_ne!(target, parse(&text.replace("#main", "#other")));
        assert_ne!(target, parse("redis://ann:s3cret@a:26379/2"));
        assert!(parse("rediss-sentinel://a#main").tls);
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
            ("redis-sentinel://h", AddressError::Service),
            ("redis-sentinel://h#", AddressError::Service),
            ("redis-sentinel://h,#main", AddressError::Malformed),
            ("redis-sentinel://h?x=y#main", AddressError::Option),
        ] {
            assert_eq!(Target::parse(address), Err(error), "{address}");
        }
    }
}
