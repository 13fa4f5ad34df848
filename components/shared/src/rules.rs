//! What the objects' fields may hold. Lengths count characters.

use crate::{Refusal, code, target};

const USERNAME_MAX: usize = 80;
const EMAIL_MAX: usize = 254;
const TITLE_MAX: usize = 255;
/// An event's type has no length of its own in the API; this one keeps it a
/// label, not a document.
const EVENT_TYPE_MAX: usize = 255;

/// A rule: nothing, or what the value breaks.
pub type Checked = Result<(), String>;

fn text(value: &str, max: usize) -> Checked {
    if value.contains('\0') {
        Err("must not contain NUL".to_owned())
    } else if value.trim().is_empty() {
        Err("must not be blank".to_owned())
    } else if value.chars().count() > max {
        Err(format!("must have at most {max} characters"))
    } else {
        Ok(())
    }
}

/// A username: 1 to 80 characters, not all blank.
pub fn username(value: &str) -> Checked {
    text(value, USERNAME_MAX)
}

/// An email address: at most 254 characters, one `@`, something on both sides.
pub fn email(value: &str) -> Checked {
    text(value, EMAIL_MAX)?;
    let mut sides = value.split('@').map(str::trim);
    match (sides.next(), sides.next(), sides.next()) {
        (Some(local), Some(domain), None) if !local.is_empty() && !domain.is_empty() => Ok(()),
        _ => Err("must be an email address".to_owned()),
    }
}

/// A title: 1 to 255 characters, not all blank.
pub fn title(value: &str) -> Checked {
    text(value, TITLE_MAX)
}

/// An event's type: 1 to 255 characters, not all blank.
pub fn event_type(value: &str) -> Checked {
    text(value, EVENT_TYPE_MAX)
}

/// A target: see [`target::check`].
pub fn original_url(value: &str) -> Checked {
    target::check(value).map_err(str::to_owned)
}

/// A code: 3 to 32 of `A-Za-z0-9_-`, and not the first segment of a route.
pub fn short_code(value: &str) -> Checked {
    if !code::is_well_formed(value) {
        Err("must be 3 to 32 of A-Z, a-z, 0-9, _ and -".to_owned())
    } else if code::is_reserved(value) {
        Err("is reserved".to_owned())
    } else {
        Ok(())
    }
}

/// Applies a rule to a field's value and passes the value on.
pub fn checked(name: &str, value: String, rule: fn(&str) -> Checked) -> Result<String, Refusal> {
    match rule(&value) {
        Ok(()) => Ok(value),
        Err(problem) => Err(Refusal::field(name, problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_characters() {
        assert!(username(&"é".repeat(80)).is_ok());
        assert!(username(&"é".repeat(81)).is_err());
        assert!(username("  ").is_err());
        assert!(username("").is_err());
        assert!(title(&"t".repeat(255)).is_ok());
        assert!(title(&"t".repeat(256)).is_err());
        assert!(title("a\0b").is_err());
        let longest = format!("{}@b", "a".repeat(252));
        assert!(email(&longest).is_ok());
        assert!(email(&format!("a{longest}")).is_err());
    }

    #[test]
    fn an_email_has_one_at_sign_and_two_sides() {
        for good in ["a@b", "clearlagoon83@relay.cloud", "ü@ü"] {
            assert!(email(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "@", "a@", "@b", "a@b@c", "a@ ", " @b"] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_code_is_short_plain_and_no_route() {
        for good in ["abc", "123456", "a-b_c", &"x".repeat(32)] {
            assert!(short_code(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            &"x".repeat(33),
            "a b",
            "a/b",
            "é23",
            "users",
            "events",
            "metrics",
        ] {
            assert!(short_code(bad).is_err(), "{bad}");
        }
    }
}
