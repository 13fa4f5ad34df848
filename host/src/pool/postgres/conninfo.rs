//! Takes `sslmode` and `sslrootcert` out of an address: the driver knows fewer
//! modes than libpq and no file of root certificates. The rest is its to parse.

use super::address::AddressError;

/// Options that the driver understands.
pub(super) const SUPPORTED: &[&str] = &[
    "sslnegotiation",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Options of libpq that have no meaning here; named in the error.
pub(super) const UNSUPPORTED: &[&str] = &[
    "passfile",
    "require_auth",
    "client_encoding",
    "fallback_application_name",
    "keepalives_count",
    "tty",
    "replication",
    "gssencmode",
    "requiressl",
    "sslcompression",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "requirepeer",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
    "service",
];

/// An address in two parts.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) rest: String,
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
}

impl Split {
    /// Keeps the value if the option is one of the two.
    fn take(&mut self, key: &str, value: &str) -> bool {
        match key {
            "sslmode" => self.sslmode = Some(value.to_owned()),
            "sslrootcert" => self.sslrootcert = Some(value.to_owned()),
            _ => return false,
        }
        true
    }
}

pub(super) fn split(text: &str) -> Result<Split, AddressError> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        split_url(text)
    } else if text.contains("://") || text.is_empty() {
        Err(AddressError::Malformed)
    } else {
        split_pairs(text)
    }
}

fn split_url(text: &str) -> Result<Split, AddressError> {
    let mut split = Split::default();
    let Some((before, query)) = text.split_once('?') else {
        split.rest = text.to_owned();
        return Ok(split);
    };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(AddressError::Malformed)?;
        let value = decode(value).ok_or(AddressError::Malformed)?;
        if !split.take(key, &value) {
            kept.push(pair);
        }
    }
    split.rest = before.to_owned();
    if !kept.is_empty() {
        split.rest.push('?');
        split.rest.push_str(&kept.join("&"));
    }
    Ok(split)
}

/// Percent-decoding as libpq does it: a `+` is a plus.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// `key = value` pairs; a value may stand in single quotes, with backslash
/// before a quote or a backslash.
fn split_pairs(text: &str) -> Result<Split, AddressError> {
    let mut split = Split::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let start = rest;
        let (key, after) = rest.split_once('=').ok_or(AddressError::Malformed)?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(AddressError::Malformed);
        }
        let (value, after) = value(after.trim_start())?;
        if !split.take(key, &value) {
            split.rest.push_str(&start[..start.len() - after.len()]);
            split.rest.push(' ');
        }
        rest = after.trim_start();
    }
    Ok(split)
}

/// One value and what follows it.
fn value(text: &str) -> Result<(String, &str), AddressError> {
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.push(chars.next().ok_or(AddressError::Malformed)?.1),
            '\'' if quoted.is_some() => return Ok((value, &body[at + 1..])),
            char if quoted.is_none() && char.is_whitespace() => return Ok((value, &body[at..])),
            char => value.push(char),
        }
    }
    match quoted {
        Some(_) => Err(AddressError::Malformed),
        None => Ok((value, "")),
    }
}
