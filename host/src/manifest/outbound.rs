//! Where a component may connect to: `allowed_outbound_hosts`, by Spin's rules.

use std::{fmt, net::IpAddr, ops::Range, str::FromStr};

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use url::Host;

/// The domain under which a component is reached by its name.
const CHAINING_SUFFIX: &str = ".spin.internal";

/// What an address of a Valkey begins with, in plain and over TLS.
pub const VALKEY_SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

/// The destinations one component is granted. Empty grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AllowedHosts(Vec<AllowedHost>);

impl AllowedHosts {
    /// Whether a connection is granted. `scheme` is in lower case (`postgres`),
    /// `host` a domain or an address (IPv6 with or without brackets), and a `port`
    /// that is not given is the scheme's own.
    pub fn allows(&self, scheme: &str, host: &str, port: impl Into<Option<u16>>) -> bool {
        let Some(host) = parse_host(host) else {
            return false;
        };
        let Some(port) = port.into().or_else(|| default_port(scheme)) else {
            return self.0.iter().any(|entry| {
                entry.port == Ports::Any && entry.scheme.allows(scheme) && entry.host.allows(&host)
            });
        };
        self.0.iter().any(|entry| {
            entry.scheme.allows(scheme) && entry.port.allows(port) && entry.host.allows(&host)
        })
    }

    /// Whether requests to the application itself, by a path alone, are granted.
    pub fn allows_self(&self, scheme: &str) -> bool {
        self.0.iter().any(|entry| {
            entry.scheme.allows(scheme) && matches!(entry.host, Hosts::Any | Hosts::ToSelf)
        })
    }

    /// Whether any destination of this scheme is granted.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.0.iter().any(|entry| entry.scheme.allows(scheme))
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, in the order of the manifest.
    pub fn iter(&self) -> std::slice::Iter<'_, AllowedHost> {
        self.0.iter()
    }
}

impl FromIterator<AllowedHost> for AllowedHosts {
    fn from_iter<I: IntoIterator<Item = AllowedHost>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// One entry: `scheme://host:port`, with `*` for any of the three. Shows and
/// serialises as its text.
#[derive(Clone, PartialEq, Eq)]
pub struct AllowedHost {
    text: Box<str>,
    scheme: Scheme,
    host: Hosts,
    port: Ports,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Any,
    One(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    Any,
    /// A suffix, with its leading dot.
    SubdomainsOf(Box<str>),
    ToSelf,
    One(Host),
    Network(IpNet),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Any,
    One(u16),
    /// The end is not part of it.
    Within(Range<u16>),
}

impl AllowedHost {
    /// Shows as `text` from now on: for an entry made of a secret.
    pub(super) fn shown_as(mut self, text: impl Into<Box<str>>) -> Self {
        self.text = text.into();
        self
    }

    /// The one place this entry grants, if it is one: scheme, host as a URL has
    /// it, port.
    pub fn single(&self) -> Option<(&str, String, u16)> {
        match (&self.scheme, &self.host, &self.port) {
            (Scheme::One(scheme), Hosts::One(host), Ports::One(port)) => {
                Some((scheme, host.to_string(), *port))
            }
            _ => None,
        }
    }

    /// The component this entry names, if it is a request to one.
    pub(super) fn chained_component(&self) -> Option<&str> {
        match &self.host {
            Hosts::One(Host::Domain(domain)) => domain.strip_suffix(CHAINING_SUFFIX),
            _ => None,
        }
    }

    /// Whether this is a request to the application itself or one of its
    /// components.
    pub(super) fn is_internal(&self) -> bool {
        self.host == Hosts::ToSelf || self.chained_component().is_some()
    }
}

impl FromStr for AllowedHost {
    type Err = AllowedHostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or(AllowedHostError::NoScheme)?;
        let (host, port) = split_port(rest)?;
        Ok(Self {
            text: text.trim().into(),
            port: Ports::parse(port, scheme)?,
            scheme: Scheme::parse(scheme)?,
            host: Hosts::parse(host)?,
        })
    }
}

/// Its text only: the parts may hold a secret that the text does not.
impl fmt::Debug for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for AllowedHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Splits at the colon before a port, which an IPv6 address must not be taken
/// for. A port that is missing is empty.
fn split_port(rest: &str) -> Result<(&str, &str), AllowedHostError> {
    match rest.rsplit_once(':') {
        None => Ok((rest, "")),
        Some((host, "")) => Ok((host, "")),
        Some(_) if Hosts::parse(rest).is_ok() => Ok((rest, "")),
        Some((host, port)) => match port.split_once('/') {
            None | Some((_, "")) => Ok((host, port.trim_end_matches('/'))),
            Some(_) => Err(AllowedHostError::Path),
        },
    }
}

impl Scheme {
    fn parse(text: &str) -> Result<Self, AllowedHostError> {
        match text {
            "*" => Ok(Self::Any),
            "" => Err(AllowedHostError::NoScheme),
            _ if text.chars().all(|c| c.is_ascii_alphabetic()) => Ok(Self::One(text.into())),
            _ => Err(AllowedHostError::Scheme),
        }
    }

    fn allows(&self, scheme: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(own) => **own == *scheme,
        }
    }
}

impl Hosts {
    fn parse(text: &str) -> Result<Self, AllowedHostError> {
        let text = text.trim();
        match text {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::ToSelf),
            _ => {}
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.contains('/') {
            return Err(AllowedHostError::Path);
        }
        if text.contains(['{', '}', ',']) {
            return Err(AllowedHostError::Host);
        }
        let host = |text| Host::parse(text).map_err(|_| AllowedHostError::Host);
        if let Some(domain) = text.strip_prefix("*.") {
            return match host(domain)? {
                Host::Domain(domain) if !domain.contains('*') => {
                    Ok(Self::SubdomainsOf(format!(".{domain}").into()))
                }
                _ => Err(AllowedHostError::Wildcard),
            };
        }
        if text.contains('*') {
            return Err(AllowedHostError::Wildcard);
        }
        host(text).map(Self::One)
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::One(own), host) => own == host,
            (Self::SubdomainsOf(suffix), Host::Domain(domain)) => domain.ends_with(&**suffix),
            (Self::Network(network), Host::Ipv4(address)) => {
                network.contains(&IpAddr::V4(*address))
            }
            (Self::Network(network), Host::Ipv6(address)) => {
                network.contains(&IpAddr::V6(*address))
            }
            (Self::SubdomainsOf(_) | Self::Network(_) | Self::ToSelf, _) => false,
        }
    }
}

impl Ports {
    fn parse(text: &str, scheme: &str) -> Result<Self, AllowedHostError> {
        let number = |text: &str| text.parse::<u16>().map_err(|_| AllowedHostError::Port);
        match text {
            "" => default_port(scheme)
                .map(Self::One)
                .ok_or(AllowedHostError::NoPort),
            "*" => Ok(Self::Any),
            _ => match text.split_once("..") {
                None => number(text).map(Self::One),
                Some((start, end)) => {
                    let range = number(start)?..number(end)?;
                    if range.is_empty() {
                        return Err(AllowedHostError::EmptyRange);
                    }
                    Ok(Self::Within(range))
                }
            },
        }
    }

    fn allows(&self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::One(own) => *own == port,
            Self::Within(range) => range.contains(&port),
        }
    }
}

fn parse_host(text: &str) -> Option<Host> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Some(Host::Ipv4(address)),
        Ok(IpAddr::V6(address)) => Some(Host::Ipv6(address)),
        Err(_) => Host::parse(text).ok(),
    }
}

/// The port a scheme has when none is given.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "mqtt" => Some(1883),
        "mysql" => Some(3306),
        "postgres" => Some(5432),
        valkey if VALKEY_SCHEMES.contains(&valkey) => Some(6379),
        _ => None,
    }
}

/// Why a text is no destination. The text itself is left out: it may have been
/// made of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedHostError {
    /// No `scheme://`.
    #[error("the destination has no scheme")]
    NoScheme,
    /// A scheme of anything but letters.
    #[error("a scheme is made of letters only")]
    Scheme,
    /// Not a domain or an address.
    #[error("this is no domain, address or network")]
    Host,
    /// A `*` in the middle.
    #[error("a wildcard stands for the whole host, or for the subdomains of a domain")]
    Wildcard,
    /// Something after the port.
    #[error("a destination has no path")]
    Path,
    /// Neither a port nor a scheme that implies one.
    #[error("the destination has no port, and its scheme implies none")]
    NoPort,
    /// Not a number of 16 bits.
    #[error("the port is no number from 0 to 65535")]
    Port,
    /// A range that ends where it begins, or before.
    #[error("the range of ports is empty: its end is not part of it")]
    EmptyRange,
}

impl AllowedHostError {
    /// How to write one.
    pub const HELP: &'static str = "write \"scheme://host:port\", as in \"https://api.example.com\", \"postgres://10.0.0.0/8:5432\", \"*://*.example.com:8000..9000\" or \"http://self\"";
}

#[cfg(test)]
mod tests;
