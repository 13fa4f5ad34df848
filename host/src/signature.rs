//! Keyed digests under the admin token.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;

/// Sets a presented token apart from everything that is signed.
const TOKEN: &[u8] = b"warmlink admin token";

/// HMAC-SHA256 keyed with the admin token, which itself is not kept.
#[derive(Clone)]
pub struct Key {
    mac: Hmac<Sha256>,
    /// The digest of the token itself, which presented ones are held against.
    token: [u8; 32],
}

impl Key {
    /// The key that `token` makes.
    #[must_use]
    pub fn new(token: &str) -> Self {
        let mac = Hmac::new_from_slice(token.as_bytes()).expect("HMAC takes a key of any length");
        let token = digest(&mac, &[TOKEN, token.as_bytes()]).finalize();
        Self {
            mac,
            token: token.into_bytes().into(),
        }
    }

    /// The signature of `parts`, as 64 hexadecimal digits. No two lists of
    /// parts sign alike, however their bytes are cut.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> String {
        hex::encode(self.tag(parts))
    }

    /// The same in bytes.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        digest(&self.mac, parts).finalize().into_bytes().into()
    }

    /// Whether `mac` is what [`Self::sign`] gives for `parts`, in a time that
    /// does not tell how much of it was right.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], mac: &str) -> bool {
        hex::decode(mac).is_ok_and(|mac| digest(&self.mac, parts).verify_slice(&mac).is_ok())
    }

    /// Whether `presented` is the token that this key was made of, in a time
    /// that tells nothing of the token, nor of its length.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        digest(&self.mac, &[TOKEN, presented.as_bytes()])
            .verify(&self.token.into())
            .is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// What is signed when a request asks for a revision of `component`, by the
/// beginning of its digest, until the Unix time `expires`.
#[must_use]
pub fn asking<'a>(component: &'a str, digits: &'a str, expires: &'a str) -> [&'a [u8]; 4] {
    [
        b"warmlink revision",
        component.as_bytes(),
        digits.as_bytes(),
        expires.as_bytes(),
    ]
}

/// Feeds every part after its length, so that where one ends is signed too.
fn digest(mac: &Hmac<Sha256>, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_verified() {
        let key = Key::new("token");
        let mac = key.sign(&[b"app", b"state"]);
        assert_eq!(mac.len(), 64);
        assert!(key.verify(&[b"app", b"state"], &mac));
        assert!(key.verify(&[b"app", b"state"], &mac.to_uppercase()));
    }

    #[test]
    fn what_differs_in_anything_is_not() {
        let key = Key::new("token");
        let mac = key.sign(&[b"app", b"state"]);
        assert!(!key.verify(&[b"app", b"other"], &mac));
        assert!(!key.verify(&[b"app"], &mac));
        assert!(!Key::new("other").verify(&[b"app", b"state"], &mac));
        for broken in ["", "zz", &mac[..62], &format!("{mac}00")] {
            assert!(!key.verify(&[b"app", b"state"], broken), "{broken:?}");
        }
    }

    #[test]
    fn where_parts_are_cut_counts() {
        let key = Key::new("token");
        let lists: [&[&[u8]]; 6] = [
            &[],
            &[b""],
            &[b"", b""],
            &[b"ab"],
            &[b"a", b"b"],
            &[b"ab", b""],
        ];
        for (i, a) in lists.iter().enumerate() {
            for b in &lists[i + 1..] {
                assert_ne!(key.sign(a), key.sign(b), "{a:?} and {b:?}");
            }
        }
    }

    /// The first vector of RFC 4231 that has no odd bytes, by hand: a part
    /// would bring its length, so the digest is fed directly.
    #[test]
    fn the_digest_is_hmac_sha256() {
        let mut mac = Key::new("Jefe").mac;
        mac.update(b"what do ya want for nothing?");
        assert_eq!(
            hex::encode(mac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn only_the_token_itself_is_the_token() {
        let key = Key::new("correct horse");
        assert!(key.is("correct horse"));
        let long = "x".repeat(100_000);
        for other in ["", "correct", "correct horse ", "Correct horse", &long] {
            assert!(!key.is(other), "{:?}", &other[..other.len().min(20)]);
        }
        // Nor is a signature of anything one of the token.
        assert!(!key.verify(&[b"correct horse"], &hex::encode(key.token)));
    }

    #[test]
    fn nothing_shows_the_key() {
        assert_eq!(format!("{:?}", Key::new("hunter2")), "Key");
    }
}
