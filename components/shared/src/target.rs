//! What a link may lead to.
//!
//! A target is stored and sent exactly as given, so it is only looked at, never
//! normalised: an absolute `http` or `https` URL with a host, safe to put into a
//! header.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest target, in characters.
pub const MAX: usize = 2048;

/// Checks a target.
///
/// # Errors
/// What is wrong with it, to follow the field's name.
pub fn check(target: &str) -> Result<(), &'static str> {
    if target.is_empty() {
        return Err("must not be blank");
    }
    if target.chars().count() > MAX {
        return Err("must have at most 2048 characters");
    }
    if target.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not contain spaces or control characters");
    }
    let rest = scheme(target).ok_or("must be an absolute http or https URL")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // The last `@` ends the user's part, as browsers read it.
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    if is_host_and_port(host_and_port) {
        Ok(())
    } else {
        Err("must name a host")
    }
}

fn scheme(target: &str) -> Option<&str> {
    ["https://", "http://"].iter().find_map(|scheme| {
        let (head, rest) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn is_host_and_port(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        Some((host, port)) => is_host(host) && is_port(port),
        None => is_host(text),
    }
}

/// An empty port is the scheme's own.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.is_empty() || text.parse::<u16>().is_ok())
}

fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() || name.len() > 253 || !name.split('.').all(is_label) {
        return false;
    }
    // A host whose last label is a number is an IPv4 address, or nothing.
    let last = name.rsplit('.').next().unwrap_or_default();
    !is_number(last) || name.parse::<Ipv4Addr>().is_ok()
}

/// As browsers have it, where `0x` alone is a number too.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x").or(label.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Letters, digits, `-` and `_` of ASCII, and anything beyond ASCII.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.chars().count())
        && label
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || !c.is_ascii())
        && label.chars().any(|c| c != '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_web_addresses_pass() {
        for good in [
            "https://example.com",
            "http://example.com/",
            "HTTPS://Example.COM/a?b=c#d",
            "http://localhost:8080/x",
            "http://127.0.0.1",
            "http://[::1]:80/x",
            "http://user:pa@ss@example.com/",
            "https://example.com./x",
            "https://example.com:/x",
            "https://example.com?x=%zz&y={}|",
            "https://bücher.example/straße",
            "https://a_b.example.com",
            "http://0x.example",
            "http://example.0xg",
            "https://xn--bcher-kva.example",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "word",
            "example.com",
            "www.example.com/x",
            "//example.com",
            "/path",
            "http:example.com",
            "http:/example.com",
            "http://",
            "http:///path",
            "http://?x",
            "http://#x",
            "http://:80",
            "http://@",
            "http://user@",
            "http://user@:80/",
            "ftp://example.com",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://exa mple.com",
            " https://example.com",
            "https://example.com ",
            "https://example.com/a b",
            "https://example.com/\n",
            "https://example.com/\r\nSet-Cookie: x",
            "https://example.com/\u{7f}",
            "https://example.com/\u{2028}",
            "https://example.com/\u{a0}",
            "https://a..b",
            "https://.",
            "https://-",
            "https://a%41.com",
            "https://exa<mple.com",
            "http://[::1",
            "http://[zz]",
            "http://[::1]x",
            "http://example.com:99999",
            "http://example.com:a",
            "http://256.256.256.256",
            "http://12345",
            "http://0x7f000001",
            "http://example.0x1",
            "http://example.0X",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_limit_is_in_characters() {
        let base = "https://example.com/";
        assert!(check(&format!("{base}{}", "ü".repeat(MAX - base.len()))).is_ok());
        assert!(check(&format!("{base}{}", "x".repeat(MAX + 1 - base.len()))).is_err());
    }
}
