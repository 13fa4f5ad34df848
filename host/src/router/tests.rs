use super::*;

fn pattern(raw: &str) -> RoutePattern {
    RoutePattern::parse(raw).unwrap_or_else(|error| panic!("{raw}: {error}"))
}

fn router(routes: &[&str]) -> Router {
    Router::new(routes.iter().map(|raw| pattern(raw)))
}

fn raw<'r>(router: &'r Router, path: &str) -> Option<&'r str> {
    router.route(path).map(|found| found.pattern.raw())
}

/// The application's own routes.
const SHORTENER: [&str; 12] = [
    "/health",
    "/users/bulk",
    "/users",
    "/users/:id",
    "/urls/bulk",
    "/urls",
    "/urls/:id",
    "/urls/:code/redirect",
    "/events/bulk",
    "/events",
    "/events/:id",
    "/:code",
];

#[test]
fn the_routes_of_a_shortener() {
    let router = router(&SHORTENER);
    for (path, route) in [
        ("/health", Some("/health")),
        ("/users", Some("/users")),
        ("/users/", Some("/users")),
        ("/users/7", Some("/users/:id")),
        ("/users/bulk", Some("/users/bulk")),
        ("/urls/AbC123/redirect", Some("/urls/:code/redirect")),
        ("/urls/AbC123/other", None),
        ("/urls//redirect", None),
        ("/AbC123", Some("/:code")),
        ("/AbC123/", Some("/:code")),
        ("/HEALTH", Some("/:code")),
        ("/health/x", None),
        ("/", None),
        ("//", None),
    ] {
        assert_eq!(raw(&router, path), route, "{path}");
    }
}

#[test]
fn the_index_is_the_place_in_the_list() {
    let router = router(&SHORTENER);
    for (index, expected) in SHORTENER.iter().enumerate() {
        let path = expected.replace(':', "x");
        let found = router.route(&path).unwrap();
        assert_eq!((found.index, found.pattern.raw()), (index, *expected));
    }
}

#[test]
fn precedence_does_not_depend_on_the_order() {
    let cases: [(&[&str], &str, &str); 12] = [
        (&["/...", "/one"], "/one", "/one"),
        (&["/:x", "/one"], "/one", "/one"),
        (&["/...", "/:x"], "/one", "/:x"),
        (&["/...", "/:x"], "/one/two", "/..."),
        (
            &["/one/...", "/one/two/...", "/one/two/three/..."],
            "/one/two/three/four",
            "/one/two/three/...",
        ),
        (
            &["/one/...", "/one/two/...", "/one/two/three/..."],
            "/one/two/x",
            "/one/two/...",
        ),
        (&["/one/...", "/one"], "/one", "/one"),
        (&["/one/...", "/:x/two"], "/one/two", "/one/..."),
        (&["/:x/b/c", "/a/:y/c"], "/a/b/c", "/a/:y/c"),
        (
            &["/files/:name", "/files/:name.json"],
            "/files/a.json",
            "/files/:name.json",
        ),
        (
            &["/files/:name", "/files/:name.json"],
            "/files/a.txt",
            "/files/:name",
        ),
        (
            &["/...", "/.well-known/x"],
            "/.well-known/x",
            "/.well-known/x",
        ),
    ];
    for (routes, path, expected) in cases {
        let mut routes = routes.to_vec();
        for _ in 0..routes.len() {
            routes.rotate_left(1);
            assert_eq!(
                raw(&router(&routes), path),
                Some(expected),
                "{routes:?} {path}"
            );
        }
        routes.reverse();
        assert_eq!(
            raw(&router(&routes), path),
            Some(expected),
            "{routes:?} {path}"
        );
    }
}

#[test]
fn outer_slashes_do_not_count_and_inner_ones_do() {
    let router = router(&["/a", "/a/b", "/x/:id", "/:p/q/..."]);
    for (path, route) in [
        ("//a", Some("/a")),
        ("/a//", Some("/a")),
        ("/a//b", None),
        ("/a/b/", Some("/a/b")),
        ("/x/", None),
        ("/x//", None),
        ("/x", None),
        ("//q", None),
        ("/p/q//r", Some("/:p/q/...")),
        ("/ab", None),
        ("/a/bc", None),
    ] {
        assert_eq!(raw(&router, path), route, "{path}");
    }
}

#[test]
fn paths_are_compared_as_sent() {
    let router = router(&["/users", "/:code", "/a%20b/c"]);
    assert_eq!(raw(&router, "/%75sers"), Some("/:code"));
    assert_eq!(raw(&router, "/a%20b/c"), Some("/a%20b/c"));
    assert_eq!(raw(&router, "/a%20B/c"), None);
    let found = router.route("/a%2Fb").unwrap();
    assert_eq!(found.params().collect::<Vec<_>>(), [("code", "a%2Fb")]);
    assert_eq!(raw(&router, "*"), None);
    assert_eq!(raw(&router, ""), None);
}

#[test]
fn parameters_are_captured() {
    for (route, path, expected) in [
        ("/1/:two/3", "/1/2/3", vec![("two", "2")]),
        ("/1/:two/...", "/1/2/3/4", vec![("two", "2")]),
        (
            "/:a/:b/:c",
            "/x/y/z/",
            vec![("a", "x"), ("b", "y"), ("c", "z")],
        ),
        (
            "/f/:name.:ext",
            "/f/a.tar.gz",
            vec![("name", "a"), ("ext", "tar.gz")],
        ),
        ("/f/v:x", "/f/v:x", vec![]),
        ("/f/v.:x", "/f/v.1", vec![("x", "1")]),
        ("/plain", "/plain", vec![]),
    ] {
        let router = router(&[route]);
        let found = router
            .route(path)
            .unwrap_or_else(|| panic!("{route} {path}"));
        assert_eq!(
            found.params().collect::<Vec<_>>(),
            expected,
            "{route} {path}"
        );
    }
    assert_eq!(raw(&router(&["/f/:name.json"]), "/f/.json"), None);
    assert_eq!(raw(&router(&["/f/:name.json"]), "/f/a/b.json"), None);
}

#[test]
fn a_trailing_wildcard_gives_the_path_info() {
    for (route, path, expected) in [
        ("/test/...", "/test", ""),
        ("/test/...", "/test/", "/"),
        ("/test/...", "/test//", "/"),
        ("/test/...", "/test/hello", "/hello"),
        ("/test/...", "/test/hello/", "/hello/"),
        ("/test/...", "/test/hello//", "/hello/"),
        ("/test/...", "/test//hello", "//hello"),
        ("/test/...", "//test/a/b", "/a/b"),
        ("/...", "/", "/"),
        ("/...", "/1/2/3", "/1/2/3"),
        ("/...", "//1", "/1"),
        ("/:x/...", "/1/2/3", "/2/3"),
        ("/old/*", "/old/way", "/way"),
        ("/users", "/users/", ""),
    ] {
        let router = router(&[route]);
        let found = router
            .route(path)
            .unwrap_or_else(|| panic!("{route} {path}"));
        assert_eq!(found.path_info, expected, "{route} {path}");
    }
    assert_eq!(raw(&router(&["/test/..."]), "/testing"), None);
}

#[test]
fn a_route_names_itself_as_spin_does() {
    for (text, based, prefix) in [
        ("/", "", "/"),
        ("/...", "/...", ""),
        ("/users", "/users", "/users"),
        ("/users/", "/users", "/users/"),
        ("users", "/users", "users"),
        ("/files/...", "/files/...", "/files"),
    ] {
        let pattern = pattern(text);
        assert_eq!(
            (&*pattern.based(), pattern.raw_or_prefix()),
            (based, prefix),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_route_is_refused() {
    use PatternError::*;
    for (text, expected) in [
        ("/a?b", NeverInPath('?')),
        ("/a#b", NeverInPath('#')),
        ("/a b", NeverInPath(' ')),
        ("/\u{e9}", NeverInPath('\u{e9}')),
        ("/a//b", EmptySegment),
        ("/.../b", WildcardInside),
        ("/*/b", WildcardInside),
        ("/files...", PartialWildcard("files...".into())),
        ("/*.txt", PartialWildcard("*.txt".into())),
        ("/:", ParamName(String::new())),
        ("/:a+b", ParamName("a+b".into())),
        ("/:a/:a", ParamTwice("a".into())),
        ("/:user_id/:User-Id", ParamTwice("User-Id".into())),
        ("/.well-known/spin/health", Reserved),
    ] {
        let error = RoutePattern::parse(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!error.help().is_empty());
    }
}

#[test]
fn routes_for_the_same_paths_are_known() {
    for (a, b, same) in [
        ("/a", "/a/", true),
        ("/a", "a", true),
        ("/:x", "/:y", true),
        ("/a/...", "/a/*", true),
        ("/a", "/a/...", false),
        ("/:x", "/a", false),
        ("/:x.json", "/:x.txt", false),
        ("/a/:x/b", "/a/:z/b", true),
    ] {
        assert_eq!(pattern(a).same_paths(&pattern(b)), same, "{a} {b}");
    }
}

/// A slow and plain statement of the rules, to hold the router against: which of
/// the routes match, compared part by part.
mod plain {
    /// Whether a route without dots matches a path, both split at slashes.
    pub(super) fn matches(route: &[&str], path: &[&str]) -> bool {
        match (route, path) {
            ([], []) | (["..."], _) => true,
            ([part, route @ ..], [segment, path @ ..]) => {
                let fits = if part.starts_with(':') {
                    !segment.is_empty()
                } else {
                    part == segment
                };
                fits && matches(route, path)
            }
            _ => false,
        }
    }

    /// What a route's parts weigh; the greatest wins.
    pub(super) fn weight(route: &[&str]) -> Vec<u8> {
        let part = |part: &&str| match *part {
            "..." => 1,
            part if part.starts_with(':') => 2,
            _ => 3,
        };
        // The end weighs more than a wildcard that takes nothing.
        route.iter().map(part).chain([2]).collect()
    }
}

#[test]
fn every_small_path_goes_where_the_rules_say() {
    let parts = ["a", "b", ":x", "..."];
    let mut routes = vec![vec![]];
    for depth in 0..3 {
        let longer: Vec<Vec<&str>> = routes
            .iter()
            .filter(|route| route.len() == depth && route.last() != Some(&"..."))
            .flat_map(|route| parts.map(|part| [route.as_slice(), &[part]].concat()))
            .collect();
        routes.extend(longer);
    }
    let text = |route: &Vec<&str>| {
        let mut number = 0;
        let parts: Vec<String> = route
            .iter()
            .map(|part| {
                number += 1;
                if *part == ":x" {
                    format!(":x{number}")
                } else {
                    (*part).to_string()
                }
            })
            .collect();
        format!("/{}", parts.join("/"))
    };
    let segments = ["a", "b", "c", ""];
    let mut paths = vec![vec![]];
    for depth in 0..4 {
        let longer: Vec<Vec<&str>> = paths
            .iter()
            .filter(|path| path.len() == depth)
            .flat_map(|path| segments.map(|segment| [path.as_slice(), &[segment]].concat()))
            .collect();
        paths.extend(longer);
    }
    let mut matched = 0;
    for first in &routes {
        for second in &routes {
            let router = Router::new([pattern(&text(first)), pattern(&text(second))]);
            for path in &paths {
                let sent = format!("/{}", path.join("/"));
                let trimmed = sent.trim_matches('/');
                let split: Vec<&str> = if trimmed.is_empty() {
                    vec![]
                } else {
                    trimmed.split('/').collect()
                };
                let expected = [first, second]
                    .into_iter()
                    .enumerate()
                    .filter(|(_, route)| plain::matches(route, &split))
                    // The first of two equals, not the last.
                    .rev()
                    .max_by_key(|(_, route)| plain::weight(route))
                    .map(|(index, _)| index);
                let found = router.route(&sent).map(|found| found.index);
                assert_eq!(found, expected, "{} {} {sent}", text(first), text(second));
                matched += usize::from(found.is_some());
            }
        }
    }
    assert!(matched > 10_000, "the paths reach the routes: {matched}");
}
