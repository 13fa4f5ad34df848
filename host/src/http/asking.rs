//! Requests that ask for a revision by its name, past all weights: how a canary
//! is looked at before anybody is sent to it.
//!
//! ```text
//! x-warmlink-revision: REVISION.EXPIRES.SIGNATURE
//! ```
//!
//! REVISION is the beginning of its digest, EXPIRES a Unix time in seconds, and
//! SIGNATURE the admin token's over the component and both.

use crate::error::{Failure, Kind};
use crate::signature::{self, Key};
use http::HeaderMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The header's name.
pub const REVISION_HEADER: &str = "x-warmlink-revision";

/// Fewest digits that name a revision.
const DIGITS: usize = 4;

/// Who may ask: whoever holds the admin token.
#[derive(Debug)]
pub struct Asking {
    key: Key,
}

impl Asking {
    /// With signatures under `key`.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// The revision of `component` that a request with these headers asks for.
    ///
    /// # Errors
    ///
    /// A header that is malformed, not signed for this component, or expired.
    pub fn revision(
        &self,
        headers: &HeaderMap,
        component: &str,
    ) -> Result<Option<String>, Failure> {
        let Some(value) = headers.get(REVISION_HEADER) else {
            return Ok(None);
        };
        let read = value
            .to_str()
            .ok()
            .and_then(|value| self.verify(value, component, now()));
        match read {
            Some(digits) => Ok(Some(digits.to_owned())),
            None => Err(Failure::new(
                Kind::RevisionForbidden,
                format!("{REVISION_HEADER} is not signed for {component}, or has expired"),
            )),
        }
    }

    fn verify<'v>(&self, value: &'v str, component: &str, now: u64) -> Option<&'v str> {
        let mut parts = value.splitn(3, '.');
        let (digits, expires, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let until: u64 = expires.parse().ok()?;
        let good = digits.len() >= DIGITS
            && self
                .key
                .verify(&signature::asking(component, digits, expires), mac)
            && now < until;
        good.then_some(digits)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_signed_for_the_component_and_not_expired_is_heard() {
        let key = Key::new("secret");
        let mac = key.sign(&signature::asking("redirect", "3fa2c1", "100"));
        let asking = Asking::new(key);
        let value = format!("3fa2c1.100.{mac}");
        assert_eq!(asking.verify(&value, "redirect", 99), Some("3fa2c1"));
        assert_eq!(asking.verify(&value, "redirect", 100), None, "expired");
        assert_eq!(asking.verify(&value, "users", 99), None);
        let later = format!("3fa2c1.200.{mac}");
        assert_eq!(asking.verify(&later, "redirect", 99), None);
        for text in ["", "3fa2c1", "3fa2c1.100", "3fa2c1.100."] {
            assert_eq!(asking.verify(text, "redirect", 99), None, "{text}");
        }
    }
}
