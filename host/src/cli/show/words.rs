//! Numbers, names and times as people read them.

use std::collections::BTreeMap;

/// Digits of a revision that tell it from others well enough.
const SHORT: usize = 12;

/// Names that a sentence may list.
const NAMED: usize = 3;

/// The text without what could move a terminal's cursor or turn its writing
/// around; line breaks become spaces.
pub(in crate::cli) fn no_controls(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        c if c.is_control() => None,
        c => Some(c),
    };
    text.chars().filter_map(shown).collect()
}

/// JSON whose texts hold no control character as such: it escapes those that
/// JSON itself does not ask to be escaped.
pub(in crate::cli) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() && c != '\n' {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// The first 12 digits of a revision.
pub(in crate::cli) fn short(revision: &str) -> String {
    no_controls(revision).chars().take(SHORT).collect()
}

/// A share, in percent: `10 %`, `0.5 %`.
pub(in crate::cli) fn percent(share: f64) -> String {
    let digits = format!("{share:.2}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits} %")
}

/// How long ago, from seconds. A clock that is ahead of ours says `now` too.
pub(in crate::cli) fn ago(seconds: f64) -> String {
    let (count, unit) = match seconds {
        s if s >= 2.0 * 86_400.0 => (s / 86_400.0, "d"),
        s if s >= 3_600.0 => (s / 3_600.0, "h"),
        s if s >= 60.0 => (s / 60.0, "min"),
        s if s >= 2.0 => (s, "s"),
        _ => return "now".to_owned(),
    };
    format!("{:.0} {unit} ago", count.floor())
}

/// On how many nodes, and which are not done: `on 3 nodes`, `on 1 of 2 nodes, not
/// yet on b`; nothing for none.
pub(in crate::cli) fn nodes(done: &BTreeMap<String, bool>) -> String {
    let all = done.len();
    let noun = if all == 1 { "node" } else { "nodes" };
    let late: Vec<String> = done
        .iter()
        .filter(|(_, done)| !**done)
        .map(|(name, _)| no_controls(name))
        .collect();
    if late.is_empty() {
        return match all {
            0 => String::new(),
            _ => format!("on {all} {noun}"),
        };
    }
    let mut names = late[..late.len().min(NAMED)].join(", ");
    if late.len() > NAMED {
        names.push_str(&format!(" and {} more", late.len() - NAMED));
    }
    let count = all - late.len();
    format!("on {count} of {all} {noun}, not yet on {names}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_drive_the_terminal() {
        assert_eq!(
            no_controls("a\u{1b}[2Jb\rc\nd\u{9b}1m\u{202e}e"),
            "a[2Jbc d1me"
        );
        assert_eq!(
            escaped("{\"a\":\"\u{9b}2J\u{7f}é\"}\n"),
            "{\"a\":\"\\u009b2J\\u007fé\"}\n"
        );
    }

    #[test]
    fn revisions_are_cut_and_shares_have_no_idle_zeros() {
        assert_eq!(short(&"3fa2c1d0a9b1".repeat(6)), "3fa2c1d0a9b1");
        assert_eq!(short("ab"), "ab");
        for (share, text) in [
            (10.0, "10 %"),
            (0.5, "0.5 %"),
            (12.25, "12.25 %"),
            (100.0, "100 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, text) in [
            (-3.0, "now"),
            (f64::NAN, "now"),
            (1.9, "now"),
            (59.9, "59 s ago"),
            (60.0, "1 min ago"),
            (7_200.0, "2 h ago"),
            (90_000.0, "25 h ago"),
            (200_000.0, "2 d ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn late_nodes_are_named_if_they_are_few() {
        let map = |done: &str, late: &str| {
            let done = done.chars().map(|name| (name.to_string(), true));
            done.chain(late.chars().map(|name| (name.to_string(), false)))
                .collect()
        };
        for (done, late, text) in [
            ("", "", ""),
            ("a", "", "on 1 node"),
            ("abc", "", "on 3 nodes"),
            ("a", "bc", "on 1 of 3 nodes, not yet on b, c"),
            (
                "a",
                "bcdef",
                "on 1 of 6 nodes, not yet on b, c, d and 2 more",
            ),
        ] {
            assert_eq!(nodes(&map(done, late)), text);
        }
    }
}
