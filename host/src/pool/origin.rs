//! Servers, as allow-lists go by them.

use std::fmt;

/// A server that an address names: what an allow-list of outbound hosts is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `postgres` for a database, however its address spells it; for a Valkey as its
    /// address has it, without `-sentinel`.
    pub scheme: &'static str,
    /// In lower case; the directory of a Unix socket as it is.
    pub host: String,
    /// The port, the usual one where the address has none.
    pub port: u16,
}

impl Origin {
    /// `host:port`, an IPv6 address in brackets.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

/// Whom a pool talks to, as people who look at what took long want to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The host; of several, `host:port` of each, with commas between.
    pub address: String,
    /// The port of the one host.
    pub port: Option<u16>,
    /// The database's name, or its number.
    pub database: String,
}

impl Peer {
    pub(super) fn new(servers: &[Origin], database: String) -> Self {
        let (address, port) = match servers {
            [one] => (one.host.clone(), Some(one.port)),
            several => {
                let several = several.iter().map(Origin::authority);
                (several.collect::<Vec<_>>().join(","), None)
            }
        };
        Self {
            address,
            port,
            database,
        }
    }
}

/// `scheme://host:port`, as `allowed_outbound_hosts` takes it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}
