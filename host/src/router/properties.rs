//! Made-up routes and paths, held to regular expressions made of the same routes.

use chance::{Chance, cases};
use regex::{Regex, escape};

use super::*;

const TEXTS: [&str; 9] = ["a", "b", "users", "v1", "%20", "%2F", "a%2eb", "~", "-_"];

/// A route, and what it matches.
fn made_up(chance: &mut Chance) -> (String, Regex) {
    let mut route = String::new();
    let mut expression = "^".to_owned();
    let mut names = 0;
    let wildcard = chance.once_in(4);
    let segments = chance.within(usize::from(!wildcard)..4);
    for at in 0..segments {
        route.push('/');
        if at > 0 {
            expression.push('/');
        }
        let sections = chance.within(1..4);
        for section in 1..=sections {
            if section > 1 {
                route.push('.');
                expression.push_str(r"\.");
            }
            if chance.once_in(2) {
                names += 1;
                route.push_str(&format!(":p{names}"));
                let to_the_dot = section < sections;
                expression.push_str(if to_the_dot { "([^./]+)" } else { "([^/]+)" });
            } else {
                let text = chance.pick(&TEXTS);
                route.push_str(text);
                expression.push_str(&escape(text));
            }
        }
    }
    if wildcard {
        route.push_str("/...");
        expression.push_str(if segments == 0 {
            "(?s:.*)"
        } else {
            "(?s:/.*)?"
        });
    }
    expression.push('$');
    (route, Regex::new(&expression).expect("an expression"))
}

/// A path that some of the routes may match: one of theirs, filled in and perhaps
/// damaged.
fn path(chance: &mut Chance, routes: &[(String, Regex)]) -> String {
    let (route, _) = &routes[chance.within(0..routes.len())];
    let mut path = String::new();
    for piece in route.split_inclusive(['/', '.']) {
        match piece.strip_prefix(':') {
            Some(rest) => {
                path.push_str(chance.pick(&TEXTS));
                path.push_str(rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
            }
            None => path.push_str(piece),
        }
    }
    match chance.within(0..4) {
        0 => chance.damaged(&path),
        1 => format!("/{path}//"),
        _ => path,
    }
}

#[test]
fn a_path_goes_to_a_route_that_matches_it_whatever_their_order() {
    let (mut found_some, mut found_none) = (0, 0);
    cases(4_000, |chance| {
        let mut routes: Vec<_> = (0..chance.within(1..7)).map(|_| made_up(chance)).collect();
        let sent = path(chance, &routes);
        let parse = |(route, _): &(String, Regex)| RoutePattern::parse(route).expect("a route");
        let router = Router::new(routes.iter().map(parse));
        let trimmed = sent.trim_matches('/');
        let matching = |(_, expression): &(String, Regex)| {
            sent.starts_with('/') && expression.is_match(trimmed)
        };
        let Some(found) = router.route(&sent) else {
            let missed = routes.iter().find(|route| matching(route));
            assert!(missed.is_none(), "{missed:?} was not found for {sent:?}");
            found_none += 1;
            return;
        };
        found_some += 1;
        let (route, expression) = &routes[found.index];
        let captures = expression.captures(trimmed);
        let captures = captures.unwrap_or_else(|| panic!("{sent:?} went to {route}"));
        // A parameter's value is what stands in its place, as it was sent.
        let values: Vec<_> = captures.iter().skip(1).flatten().collect();
        let values: Vec<_> = values.iter().map(regex::Match::as_str).collect();
        let given: Vec<_> = found.params().map(|(_, value)| value).collect();
        assert_eq!(given, values, "{sent:?} at {route}");
        assert!(sent.contains(found.path_info), "{sent:?} at {route}");

        let pattern = found.pattern.clone();
        let turns = chance.within(0..routes.len());
        routes.rotate_left(turns);
        if chance.once_in(2) {
            routes.reverse();
        }
        let turned = Router::new(routes.iter().map(parse));
        let again = turned.route(&sent).expect("the same routes").pattern;
        assert!(again.same_paths(&pattern), "{sent:?}: {pattern}, {again}");
    });
    assert!(
        found_some > 1_000 && found_none > 300,
        "{found_some} {found_none}"
    );
}

#[test]
fn any_text_is_a_route_or_a_named_problem() {
    let (mut routes, mut problems) = (0, 0);
    cases(4_000, |chance| {
        let text = match chance.within(0..3) {
            0 => chance.text(12),
            _ => {
                let (route, _) = made_up(chance);
                chance.damaged(&route)
            }
        };
        match RoutePattern::parse(&text) {
            Ok(pattern) => {
                routes += 1;
                assert_eq!(pattern.raw(), text);
                let path = chance.text(12);
                let router = Router::new([pattern]);
                if let Some(found) = router.route(&path) {
                    let _ = found.params().count();
                }
            }
            Err(problem) => {
                problems += 1;
                assert!(!problem.to_string().is_empty() && !problem.help().is_empty());
            }
        }
    });
    assert!(routes > 300 && problems > 300, "{routes} {problems}");
}

#[test]
fn a_component_is_told_by_the_host_alone_how_it_was_routed() {
    cases(1_000, |chance| {
        let routes = [made_up(chance)];
        let sent = path(chance, &routes);
        let Ok(target) = format!("http://test{sent}").parse::<http::Uri>() else {
            return;
        };
        let pattern = RoutePattern::parse(&routes[0].0).expect("a route");
        let router = Router::new([pattern]);
        let Some(found) = router.route(target.path()) else {
            return;
        };
        let mut headers = http::HeaderMap::new();
        let forged = http::HeaderValue::from_static("forged");
        for name in [
            "spin-path-info",
            "spin-path-match-p9",
            "spin-full-url",
            "spin-x",
        ] {
            headers.append(name, forged.clone());
            headers.append(name, forged.clone());
        }
        let peer = spin_headers::client_addr(([127, 0, 0, 1], 7).into());
        spin_headers::set(&mut headers, &target, &found, peer);
        let forged = headers.values().find(|value| **value == forged);
        assert_eq!(forged, None, "{headers:?}");
        // What no header can hold is left out.
        let told = |value: &str| http::HeaderValue::from_str(value).ok();
        for (name, value) in found.params() {
            let given = headers.get(format!("spin-path-match-{name}"));
            assert_eq!(given, told(value).as_ref(), "{name} of {sent:?}");
        }
        let given = headers.get("spin-path-info");
        assert_eq!(given, told(found.path_info).as_ref(), "{sent:?}");
    });
}
