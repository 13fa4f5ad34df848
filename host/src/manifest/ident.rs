//! The names a manifest may give, by the rules of the component model.

/// What a name is made of.
#[derive(Clone, Copy)]
enum Style {
    Kebab,
    Snake,
}

/// Whether the text may name a component: words of ASCII letters and digits, each
/// beginning with a letter and of one case, joined by `-`.
pub(super) fn is_kebab(text: &str) -> bool {
    words(text, Style::Kebab)
}

/// Whether the text may name a variable: lower-case words of ASCII letters and
/// digits, each beginning with a letter, joined by `_`.
pub(super) fn is_lower_snake(text: &str) -> bool {
    words(text, Style::Snake) && !text.contains(|c: char| c.is_ascii_uppercase())
}

/// Whether the text may be the label of a store.
pub(super) fn is_label(text: &str) -> bool {
    words(text, Style::Kebab) || words(text, Style::Snake)
}

fn words(text: &str, style: Style) -> bool {
    let joint = match style {
        Style::Kebab => '-',
        Style::Snake => '_',
    };
    text.split(joint).all(|word| {
        let mut chars = word.chars();
        let Some(first) = chars.next().filter(char::is_ascii_alphabetic) else {
            return false;
        };
        let upper = first.is_ascii_uppercase();
        chars.all(|c| {
            c.is_ascii_digit() || (c.is_ascii_alphabetic() && c.is_ascii_uppercase() == upper)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_kebab_case() {
        for good in ["a", "users", "user-bulk", "a1-b2", "HTTP-server"] {
            assert!(is_kebab(good), "{good}");
        }
        for bad in [
            "", "-", "a-", "1a", "a_b", "a--b", "a-1b", "Users", "a b", "\u{e9}",
        ] {
            assert!(!is_kebab(bad), "{bad}");
        }
    }

    #[test]
    fn variables_are_lower_snake_case() {
        for good in ["a", "database_url", "a1_b2"] {
            assert!(is_lower_snake(good), "{good}");
        }
        for bad in [
            "",
            "A",
            "DATABASE_URL",
            "a__b",
            "_a",
            "a_",
            "1a",
            "a-b",
            "a.b",
        ] {
            assert!(!is_lower_snake(bad), "{bad}");
        }
    }

    #[test]
    fn labels_are_either() {
        assert!(is_label("my-store") && is_label("my_store") && is_label("default"));
        assert!(!is_label("my-own_store") && !is_label(""));
    }
}
