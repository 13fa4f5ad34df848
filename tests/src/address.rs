//! Addresses of servers of data.

use std::net::{Ipv4Addr, SocketAddr};

use url::Url;

/// The server's own, as `host:port`.
///
/// # Panics
/// Where the text is no address of a TCP port.
pub fn authority(url: &str) -> String {
    let url: Url = url.parse().expect("an address is announced");
    let host = url.host_str().expect("a TCP address");
    format!("{host}:{}", url.port().expect("a port is announced"))
}

/// The same through another port of this machine.
///
/// # Panics
/// Where the text is no address of a TCP port.
pub(crate) fn through(url: &str, port: u16) -> String {
    at(url, (Ipv4Addr::LOCALHOST, port).into())
}

/// The same at another place.
///
/// # Panics
/// Where the text is no address of a TCP port.
pub fn at(url: &str, place: SocketAddr) -> String {
    let mut url: Url = url.parse().expect("an address is announced");
    url.set_ip_host(place.ip()).expect("a host can be set");
    url.set_port(Some(place.port())).expect("a port can be set");
    url.into()
}
