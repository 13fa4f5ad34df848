//! Who a request is of, in a form that gives nobody away: what is kept, here or
//! in a Valkey, is a keyed digest.

use crate::signature::Key;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// What a client is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client<'a> {
    /// Its address.
    Address(IpAddr),
    /// The value of a header.
    Header(&'a [u8]),
}

/// A client of a limit: 128 bits of a digest of both.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) [u8; 16]);

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id")
    }
}

/// Names the clients of one limit.
#[derive(Debug)]
pub(super) struct Hasher {
    key: Key,
    application: Box<[u8]>,
    limit: Box<[u8]>,
}

impl Hasher {
    /// For the limit of `component`, or of the application.
    pub(super) fn new(key: &Key, application: &str, component: Option<&str>) -> Self {
        // No name is empty.
        let limit = component.unwrap_or_default();
        Self {
            key: key.clone(),
            application: application.as_bytes().into(),
            limit: limit.as_bytes().into(),
        }
    }

    pub(super) fn id(&self, client: Client<'_>) -> Id {
        const PURPOSE: &[u8] = b"warmlink rate";
        let tag = |kind: &[u8], value: &[u8]| {
            let (application, limit) = (&*self.application, &*self.limit);
            self.key.tag(&[PURPOSE, application, limit, kind, value])
        };
        let tag = match client {
            Client::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => tag(b"v4", &address.octets()),
                IpAddr::V6(address) => tag(b"v6", &network(address)),
            },
            Client::Header(value) => tag(b"header", value),
        };
        let mut id = [0; 16];
        id.copy_from_slice(&tag[..16]);
        Id(id)
    }
}

/// A /64: the least that a client is given of IPv6, all of it its own.
fn network(address: Ipv6Addr) -> [u8; 8] {
    let mut network = [0; 8];
    network.copy_from_slice(&address.octets()[..8]);
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(component: Option<&str>) -> Hasher {
        Hasher::new(&Key::new("token"), "app", component)
    }

    fn address(text: &str) -> Client<'static> {
        Client::Address(text.parse().unwrap())
    }

    #[test]
    fn a_client_is_one_whatever_its_address_is_written_like() {
        let hasher = hasher(None);
        for (one, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(hasher.id(address(one)), hasher.id(address(same)), "{one}");
        }
    }

    #[test]
    fn no_two_clients_limits_applications_or_keys_are_mixed_up() {
        let of = |key: &str, app: &str, component, client| {
            Hasher::new(&Key::new(key), app, component).id(client)
        };
        let one = address("192.0.2.1");
        let ids = [
            of("token", "app", None, one),
            of("other", "app", None, one),
            of("token", "other", None, one),
            of("token", "app", Some("users"), one),
            of("token", "app", Some("application"), one),
            of("token", "app", None, address("192.0.2.2")),
            of("token", "app", None, address("2001:db8::1")),
            of("token", "app", None, address("2001:db8:0:1::1")),
            of("token", "app", None, Client::Header(b"192.0.2.1")),
            of("token", "app", None, Client::Header(&[192, 0, 2, 1])),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[at + 1..].contains(id), "{at}");
        }
    }
}
