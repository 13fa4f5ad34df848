//! "Did you mean": the nearest of the names there are.

/// How to mend a name: the nearest one, and all there are. `lead` begins the
/// list ("the keys here are").
pub(super) fn help(name: &str, known: &[&str], lead: &str) -> String {
    if known.is_empty() {
        return "leave it out".to_owned();
    }
    let list = known.join(", ");
    match nearest(name, known) {
        Some(near) => format!("did you mean {near:?}? {}: {list}", capital(lead)),
        None => format!("{lead}: {list}"),
    }
}

/// The nearest name, if one is so near that it may be what was meant.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let allowed = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|other| (distance(name, other), *other))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// How many characters are added, left out or exchanged between the two
/// (Levenshtein's distance), letter case and the kind of dash aside.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let plain = |c: char| {
        if c == '_' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    };
    let b: Vec<char> = b.chars().map(plain).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().map(plain).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("in-flight", "in_flight", 0),
            ("Deadline", "deadline", 0),
            ("deadlien", "deadline", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["source", "deadline", "idle"];
        assert_eq!(nearest("sorce", &known), Some("source"));
        assert_eq!(nearest("deadlien", &known), Some("deadline"));
        assert_eq!(nearest("memory", &known), None);
        assert_eq!(nearest("x", &known), None);
    }

    #[test]
    fn the_help_names_all_there_are() {
        assert_eq!(
            help("sorce", &["source", "idle"], "the keys here are"),
            "did you mean \"source\"? The keys here are: source, idle"
        );
        assert_eq!(
            help("x", &["idle"], "the keys here are"),
            "the keys here are: idle"
        );
        assert_eq!(help("x", &[], "the keys here are"), "leave it out");
    }
}
