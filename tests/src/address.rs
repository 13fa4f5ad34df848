//! Addresses of servers of data.

use url::Url;

/// The server's own, as `host:port`.
///
/// # Panics
/// Where the text is no address of a TCP port.
pub(crate) fn authority(url: &str) -> String {
    let url: Url = url.parse().expect("an address is announced");
    let host = url.host_str().expect("a TCP address");
    format!("{host}:{}", url.port().expect("a port is announced"))
}

/// The same through another port of this machine.
///
/// # Panics
/// Where the text is no address of a TCP port.
pub(crate) fn through(url: &str, port: u16) -> String {
    let mut url: Url = url.parse().expect("an address is announced");
    url.set_host(Some("127.0.0.1")).expect("a host can be set");
    url.set_port(Some(port)).expect("a port can be set");
    url.into()
}
