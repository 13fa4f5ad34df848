//! Short codes: how they look, which are never given out, how they are drawn.

/// The length of a drawn code.
pub const LENGTH: usize = 6;

/// First segments of routes, and two that a later version may want: kept from
/// being codes.
const RESERVED: [&str; 7] = [
    "admin", "api", "events", "health", "metrics", "urls", "users",
];

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Whether a text has a code's form: 3 to 32 of `A-Za-z0-9_-`.
pub fn is_well_formed(text: &str) -> bool {
    (3..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether a code would hide a route, or be hidden by one.
pub fn is_reserved(code: &str) -> bool {
    RESERVED.contains(&code)
}

/// Draws a code from random bytes, each character as likely as any other: bytes
/// from 248 (4 × 62) are passed over. None if the bytes run out before the code
/// is whole, or spell a reserved word; then draw again with new ones.
pub fn draw(random: &[u8]) -> Option<String> {
    let code: String = random
        .iter()
        .filter(|byte| **byte < 248)
        .map(|byte| char::from(ALPHABET[usize::from(byte % 62)]))
        .take(LENGTH)
        .collect();
    (code.len() == LENGTH && !is_reserved(&code)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_code_is_six_of_the_alphabet() {
        assert_eq!(draw(&[0, 61, 62, 247, 1, 2]).unwrap(), "A9A9BC");
        assert_eq!(draw(&[250, 0, 255, 0, 0, 0, 0, 0]).unwrap(), "AAAAAA");
        assert_eq!(draw(&[0, 0, 0, 0, 0]), None);
        assert_eq!(draw(&[255; 16]), None);
    }

    #[test]
    fn a_route_is_never_drawn() {
        let spell = |word: &str| -> Vec<u8> {
            word.bytes()
                .map(|c| u8::try_from(ALPHABET.iter().position(|a| *a == c).unwrap()).unwrap())
                .collect()
        };
        assert_eq!(draw(&spell("events")), None);
        assert_eq!(draw(&spell("health")), None);
        assert_eq!(draw(&spell("Events")).unwrap(), "Events");
    }

    #[test]
    fn every_character_is_as_likely() {
        let mut counts = [0; 62];
        for byte in 0..248u8 {
            let code = draw(&[byte; LENGTH]).unwrap();
            let at = ALPHABET
                .iter()
                .position(|a| *a == code.as_bytes()[0])
                .unwrap();
            counts[at] += 1;
        }
        assert_eq!(counts, [4; 62]);
    }
}
