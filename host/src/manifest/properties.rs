//! Manifests that are nearly right: whatever is wrong, it is told, by its key.

use std::collections::BTreeMap;
use std::path::Path;

use chance::{Chance, cases};

use super::outbound::{AllowedHost, AllowedHosts};
use super::read;
use super::template::{Part, Template};

/// The application's own manifest, and those that are read as written down.
fn manifests() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::fs::read_dir(root.join("tests/manifests/good")).expect("the folder is there");
    let files = folder.map(|entry| entry.expect("the folder can be read").path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .chain([root.join("spin.toml")])
        .collect();
    files.sort();
    let text = |path| std::fs::read_to_string(path).expect("a manifest can be read");
    files.into_iter().map(text).collect()
}

const VALUES: [&str; 18] = [
    "0",
    "-1",
    "1.5",
    "99999999999999999999",
    "nan",
    "true",
    "\"\"",
    "\"x\"",
    "\"{{ x }}\"",
    "\"{{\"",
    "\"5s\"",
    "\"64MiB\"",
    "\"*://*:*\"",
    "\"\\u0000\"",
    "[]",
    "[\"x\"]",
    "{}",
    "{ x = 1 }",
];

/// The text with one line of it changed.
fn changed(chance: &mut Chance, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = chance.within(0..lines.len());
    let other = chance.within(0..lines.len());
    match chance.within(0..6) {
        0 => drop(lines.remove(at)),
        1 => lines.swap(at, other),
        2 => lines.insert(at, lines[other].clone()),
        3 => lines[at] = chance.damaged(&lines[at]),
        _ => {
            let key = lines[at].split('=').next().unwrap_or_default().to_owned();
            lines[at] = format!("{key}= {}", chance.pick(&VALUES));
        }
    }
    lines.join("\n")
}

#[test]
fn whatever_is_wrong_with_a_manifest_is_told_by_its_key() {
    let manifests = manifests();
    let values: BTreeMap<_, _> = [("database_url", "postgres://a:hunter2@b/c")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let (mut right, mut keyed) = (0, 0);
    cases(1_500, |chance| {
        let mut text = manifests[chance.within(0..manifests.len())].clone();
        for _ in 0..chance.within(1..3) {
            text = changed(chance, &text);
        }
        let faults = match read(&text, &values) {
            Ok(spec) => {
                right += 1;
                // What was read can be shown.
                let shown = serde_json::to_string(&spec).expect("a spec is JSON");
                assert!(!shown.contains("hunter2"), "{shown}");
                return;
            }
            Err(faults) => faults,
        };
        assert!(!faults.is_empty());
        let lines = text.lines().count();
        for fault in &faults {
            assert!(
                !fault.message.is_empty() && !fault.help.is_empty(),
                "{fault:?}"
            );
            assert!(!format!("{fault}").contains("hunter2"), "{fault}");
            // What has no key is the document as a whole, that is no TOML.
            let whole = fault.message.starts_with("this is no TOML")
                || fault.message.contains("a second time");
            assert!(whole || !fault.key.is_empty(), "{fault:?}\n{text}");
            assert!(
                fault
                    .line
                    .is_none_or(|line| (1..=lines + 1).contains(&line)),
                "{fault:?}\n{text}"
            );
            keyed += usize::from(!whole);
        }
    });
    assert!(right > 50 && keyed > 500, "{right} {keyed}");
}

#[test]
fn a_template_is_its_parts() {
    cases(2_000, |chance| {
        const PIECES: [&str; 8] = ["{{", "}}", "{", "}", " ", "name", "{{ name }}", "ü"];
        let text: String = (0..chance.within(0..9))
            .map(|_| chance.pick(&PIECES))
            .collect();
        let Ok(template) = Template::parse(&text) else {
            assert!(text.contains("{{"), "{text}");
            return;
        };
        assert_eq!(template.to_string(), text);
        // Without its names it is what stands between them.
        let mut rest = text.as_str();
        for part in template.parts() {
            rest = match part {
                Part::Literal(literal) => {
                    rest.strip_prefix(&**literal).expect("the literal is next")
                }
                Part::Variable(name) => {
                    let (inner, rest) = rest
                        .strip_prefix("{{")
                        .and_then(|rest| rest.split_once("}}"))
                        .expect("a variable is next");
                    assert_eq!(inner.trim(), &**name, "{text}");
                    rest
                }
            };
        }
        assert_eq!(rest, "");
    });
}

const SCHEMES: [&str; 4] = ["http", "https", "postgres", "redis"];
const HOSTS: [&str; 8] = [
    "example.com",
    "api.example.com",
    "a.api.example.com",
    "badexample.com",
    "127.0.0.1",
    "10.1.2.3",
    "[::1]",
    "xn--bcher-kva.example",
];

/// Whether an entry made of these parts grants a place, said plainly.
fn granted(entry: (&str, &str, (u16, u16)), place: (&str, &str, u16)) -> bool {
    let scheme = entry.0 == "*" || entry.0 == place.0;
    let host = match entry.1.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => {
            place.1.ends_with(suffix)
                && !place.1.ends_with(|c: char| c.is_ascii_digit() || c == ']')
        }
        None if entry.1 == "10.0.0.0/8" => place.1.starts_with("10."),
        None => entry.1 == place.1,
    };
    scheme && host && (entry.2.0..entry.2.1).contains(&place.2)
}

#[test]
fn a_destination_grants_what_it_says_and_nothing_else() {
    let (mut yes, mut no) = (0, 0);
    cases(4_000, |chance| {
        let scheme = if chance.once_in(4) {
            "*"
        } else {
            chance.pick(&SCHEMES)
        };
        let host = match chance.within(0..4) {
            0 => chance.pick(&["*", "*.example.com", "*.com", "10.0.0.0/8"]),
            _ => chance.pick(&HOSTS),
        };
        let from = chance.within(1..10);
        let (ports, text) = match chance.within(0..3) {
            0 => ((0, usize::from(u16::MAX)), "*".to_owned()),
            1 => ((from, from + 1), from.to_string()),
            _ => ((from, from + 4), format!("{from}..{}", from + 4)),
        };
        let ports = (ports.0 as u16, ports.1 as u16);
        let text = format!("{scheme}://{host}:{text}");
        let entry: AllowedHost = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(entry.to_string(), text);
        let hosts: AllowedHosts = [entry].into_iter().collect();
        let place = (
            chance.pick(&SCHEMES),
            chance.pick(&HOSTS),
            chance.within(1..14) as u16,
        );
        let expected = granted((scheme, host, ports), place);
        let (scheme, host, port) = place;
        assert_eq!(
            hosts.allows(scheme, host, port),
            expected,
            "{text} {place:?}"
        );
        // As hosts are compared: in any case, and IPv6 without its brackets too.
        assert_eq!(
            hosts.allows(scheme, &host.to_uppercase(), port),
            expected,
            "{text} {place:?}"
        );
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        assert_eq!(
            hosts.allows(scheme, bare, port),
            expected,
            "{text} {place:?}"
        );
        yes += usize::from(expected);
        no += usize::from(!expected);
    });
    assert!(yes > 100 && no > 1_000, "{yes} {no}");
}

#[test]
fn any_text_is_a_destination_or_none() {
    let mut read = 0;
    cases(4_000, |chance| {
        let text = match chance.within(0..2) {
            0 => chance.text(16),
            _ => {
                let text = format!(
                    "{}://{}:{}",
                    chance.pick(&SCHEMES),
                    chance.pick(&HOSTS),
                    chance.number()
                );
                chance.damaged(&text)
            }
        };
        if let Ok(entry) = text.parse::<AllowedHost>() {
            read += 1;
            // It is the same entry again by the text that it shows.
            assert_eq!(
                entry.to_string().parse::<AllowedHost>(),
                Ok(entry),
                "{text:?}"
            );
        }
    });
    assert!(read > 100, "{read}");
}
