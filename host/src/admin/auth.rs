//! Who may give commands: whoever presents the admin token, or, where none is
//! configured, whoever is on this machine.

use crate::control::{Refusal, RefusalKind};
use crate::signature::Key;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use std::net::{IpAddr, SocketAddr};

/// Whether a command with these headers from `peer` is to be heard.
///
/// # Errors
///
/// A refusal that does not say how near it was.
pub(super) fn check(
    key: Option<&Key>,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    // A page that somebody on this machine looks at is not that somebody.
    if headers.contains_key(ORIGIN) {
        return Err(forbidden("commands are not taken from web pages"));
    }
    let Some(key) = key else {
        return if is_loopback(peer.ip()) && names_this_machine(headers) {
            Ok(())
        } else {
            Err(forbidden(
                "no admin token is configured (WARMLINK_ADMIN_TOKEN), so commands are taken from \
                 this machine alone",
            ))
        };
    };
    let presented = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match presented {
        Some(token) if key.is(token) => Ok(()),
        Some(_) => Err(unauthorized("the admin token is another one")),
        None => Err(unauthorized(
            "the admin token is missing: set WARMLINK_ADMIN_TOKEN",
        )),
    }
}

/// A name that leads here only by a resolver's answer is one that a web page may
/// have made up.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let Ok(authority) = host.parse::<http::uri::Authority>() else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            let mapped = address.to_ipv4_mapped();
            mapped.map_or(address.is_loopback(), |address| address.is_loopback())
        }
    }
}

fn forbidden(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Forbidden, text)
}

fn unauthorized(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Unauthorized, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn refused(
        key: Option<&str>,
        peer: &str,
        sent: &[(&'static str, &str)],
    ) -> Option<RefusalKind> {
        let key = key.map(Key::new);
        check(key.as_ref(), peer.parse().unwrap(), &headers(sent))
            .err()
            .map(|refusal| refusal.kind)
    }

    const HERE: &str = "127.0.0.1:5";
    const AWAY: &str = "10.0.0.7:5";

    #[test]
    fn with_a_token_it_is_needed_from_everywhere() {
        let token = Some("correct horse battery");
        let right = ("authorization", "Bearer correct horse battery");
        for peer in [HERE, AWAY] {
            assert_eq!(refused(token, peer, &[right]), None);
            assert_eq!(refused(token, peer, &[]), Some(RefusalKind::Unauthorized));
            for wrong in ["Bearer correct", "Bearer ", "Basic correct horse battery"] {
                assert_eq!(
                    refused(token, peer, &[("authorization", wrong)]),
                    Some(RefusalKind::Unauthorized),
                    "{wrong}"
                );
            }
        }
    }

    #[test]
    fn without_one_only_this_machine_is_heard() {
        assert_eq!(refused(None, HERE, &[]), None);
        assert_eq!(refused(None, "[::1]:5", &[("host", "[::1]:3001")]), None);
        assert_eq!(refused(None, "[::ffff:127.0.0.1]:5", &[]), None);
        assert_eq!(refused(None, AWAY, &[]), Some(RefusalKind::Forbidden));
    }

    #[test]
    fn a_web_page_is_not_heard() {
        for host in ["localhost:3001", "127.0.0.1"] {
            assert_eq!(refused(None, HERE, &[("host", host)]), None);
        }
        let rebound = [("host", "evil.example:3001")];
        assert_eq!(refused(None, HERE, &rebound), Some(RefusalKind::Forbidden));
        let page = [
            ("origin", "http://localhost:3000"),
            ("authorization", "Bearer t"),
        ];
        assert_eq!(
            refused(Some("t"), HERE, &page),
            Some(RefusalKind::Forbidden)
        );
    }
}
