//! Whom a request comes from, where it came by way of a proxy.

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word for a client's address is taken.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// The hosts of these networks.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    /// Whether the other end is one of them, so that its requests say whom they
    /// are from.
    pub fn trust(&self, peer: SocketAddr) -> bool {
        // An IPv4 client of an IPv6 socket has an address that is neither.
        let address = peer.ip().to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whom a request with these headers is from, that a trusted `peer` sent on:
    /// the last hop, from the right, that a trusted one vouches for. An entry that
    /// is no address ends the way there. Where an entry has no port, it is 0.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut hop = peer;
        // Several lines are one list, in their order.
        let lines = headers.get_all(&FORWARDED_FOR).into_iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for entry in entries {
            let Some(before) = address(entry) else { break };
            hop = before;
            if !self.trust(hop) {
                break;
            }
        }
        hop
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address: IpAddr = match bare {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => text.parse().ok()?,
    };
    Some(SocketAddr::new(address, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn proxies() -> Proxies {
        let trusted = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"];
        Proxies::new(trusted.map(|it| it.parse().unwrap()).to_vec())
    }

    #[track_caller]
    fn assert_client(lines: &[&[u8]], wanted: &str) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        let peer = "10.0.0.1:1000".parse().unwrap();
        let client = proxies().client(peer, &headers);
        assert_eq!(client.to_string(), wanted, "{lines:?}");
    }

    #[test]
    fn peers_are_trusted_by_their_network_alone() {
        for (peer, trusted) in [
            ("10.255.0.1:80", true),
            ("192.0.2.7:80", true),
            ("192.0.2.8:80", false),
            ("[::ffff:10.0.0.1]:80", true),
            ("[::ffff:11.0.0.1]:80", false),
            ("[fd12::1]:80", true),
            ("[fe80::1]:80", false),
            ("[::10.0.0.1]:80", false),
        ] {
            let address = peer.parse().unwrap();
            assert_eq!(proxies().trust(address), trusted, "{peer}");
            assert!(!Proxies::default().trust(address), "{peer}");
        }
    }

    #[test]
    fn the_last_hop_that_a_trusted_one_vouches_for_counts() {
        assert_client(&[], "10.0.0.1:1000");
        assert_client(&[b"203.0.113.9"], "203.0.113.9:0");
        // What a client claims stands left of what was seen of it.
        assert_client(&[b"198.51.100.1, 203.0.113.9"], "203.0.113.9:0");
        assert_client(&[b"198.51.100.1,203.0.113.9 ,\t10.2.3.4"], "203.0.113.9:0");
        assert_client(&[b"203.0.113.9, 192.0.2.7, fd00::5"], "203.0.113.9:0");
        assert_client(&[b"203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9:0");
        // All of them trusted: the first is whom it began with.
        assert_client(&[b"10.0.0.3, 10.0.0.2"], "10.0.0.3:0");
    }

    #[test]
    fn lines_are_one_list() {
        let lines: &[&[u8]] = &[b"198.51.100.1", b"203.0.113.9, 10.0.0.3", b"10.0.0.2"];
        assert_client(lines, "203.0.113.9:0");
    }

    #[test]
    fn ports_are_kept_where_there_are_any() {
        assert_client(&[b"203.0.113.9:4711"], "203.0.113.9:4711");
        assert_client(&[b"[2001:db8::1]:4711"], "[2001:db8::1]:4711");
        assert_client(&[b"[2001:db8::1]"], "[2001:db8::1]:0");
        assert_client(&[b"2001:db8::1"], "[2001:db8::1]:0");
        assert_client(&[b"203.0.113.9:1, 10.0.0.2:2"], "203.0.113.9:1");
    }

    #[test]
    fn what_is_no_address_ends_the_way() {
        for (line, wanted) in [
            (&b""[..], "10.0.0.1:1000"),
            (b"unknown", "10.0.0.1:1000"),
            (b"203.0.113.9, unknown, 10.0.0.2", "10.0.0.2:0"),
            (b"203.0.113.9,", "10.0.0.1:1000"),
            (b"203.0.113.9, , 10.0.0.2", "10.0.0.2:0"),
            (b"203.0.113.9 10.0.0.2", "10.0.0.1:1000"),
            (b"203.0.113.9, \xff\xfe", "10.0.0.1:1000"),
            (b"[203.0.113.9]", "10.0.0.1:1000"),
            (b"203.0.113.9:99999", "10.0.0.1:1000"),
            (b"203.0.113.09", "10.0.0.1:1000"),
        ] {
            assert_client(&[line], wanted);
        }
    }
}
