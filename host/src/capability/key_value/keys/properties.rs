//! Prefixes made up, held to what the server makes of a pattern.

use chance::cases;

use super::*;

/// The server's matching, as far as a pattern of ours goes: nothing but escaped and
/// plain bytes, and a `*` at the end.
fn matches(pattern: &[u8], key: &[u8]) -> bool {
    let (wanted, rest) = match pattern {
        [b'*'] => return true,
        [b'\\', wanted, rest @ ..] => (wanted, rest),
        [b'*' | b'?' | b'[', ..] => panic!("it stands for more than itself"),
        [wanted, rest @ ..] => (wanted, rest),
        [] => return key.is_empty(),
    };
    key.split_first()
        .is_some_and(|(byte, key)| byte == wanted && matches(rest, key))
}

#[test]
fn a_pattern_matches_what_begins_with_the_prefix_and_nothing_else() {
    cases(2_000, |chance| {
        let prefix = chance.text(6);
        let pattern = pattern(&prefix);
        let key = chance.text(6);
        assert!(matches(&pattern, format!("{prefix}{key}").as_bytes()));
        for other in [key.clone(), chance.damaged(&format!("{prefix}{key}"))] {
            let begins = other.starts_with(&prefix);
            assert_eq!(
                matches(&pattern, other.as_bytes()),
                begins,
                "{prefix:?} {other:?}"
            );
        }
    });
}
