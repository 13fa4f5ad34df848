use super::*;

fn hosts(entries: &[&str]) -> AllowedHosts {
    entries
        .iter()
        .map(|text| {
            text.parse::<AllowedHost>()
                .unwrap_or_else(|error| panic!("{text}: {error}"))
        })
        .collect()
}

#[test]
fn what_is_granted_is_allowed_and_nothing_else() {
    type Target<'a> = (&'a str, &'a str, Option<u16>);
    let cases: [(&str, &[Target<'_>], &[Target<'_>]); 15] = [
        (
            "http://example.com",
            &[
                ("http", "example.com", None),
                ("http", "EXAMPLE.com", Some(80)),
            ],
            &[
                ("https", "example.com", None),
                ("http", "example.com", Some(81)),
                ("http", "a.example.com", None),
            ],
        ),
        (
            "https://example.com/",
            &[("https", "example.com", Some(443))],
            &[],
        ),
        (
            "postgres://db:5433",
            &[("postgres", "db", Some(5433))],
            &[("postgres", "db", None), ("redis", "db", Some(5433))],
        ),
        (
            "redis://127.0.0.1",
            &[("redis", "127.0.0.1", Some(6379))],
            &[
                ("redis", "localhost", None),
                ("rediss", "127.0.0.1", Some(6379)),
            ],
        ),
        (
            "rediss://cache.example",
            &[
                ("rediss", "cache.example", None),
                ("rediss", "cache.example", Some(6379)),
            ],
            &[("redis", "cache.example", None)],
        ),
        (
            "*://*:*",
            &[
                ("x", "anything", Some(1)),
                ("x", "anything", None),
                ("http", "::1", None),
            ],
            &[],
        ),
        (
            "*://db:*",
            &[("postgres", "db", Some(1))],
            &[("postgres", "db2", Some(1))],
        ),
        (
            "https://*.example.com",
            &[
                ("https", "a.example.com", None),
                ("https", "a.b.example.com", None),
            ],
            &[
                ("https", "example.com", None),
                ("https", "myexample.com", None),
            ],
        ),
        (
            "http://*.Example.COM:8000..8002",
            &[
                ("http", "a.example.com", Some(8000)),
                ("http", "a.example.com", Some(8001)),
            ],
            &[
                ("http", "a.example.com", Some(8002)),
                ("http", "a.example.com", Some(7999)),
            ],
        ),
        (
            "*://127.0.0.1/24:6000",
            &[("tcp", "127.0.0.200", Some(6000))],
            &[
                ("tcp", "127.0.1.1", Some(6000)),
                ("tcp", "localhost", Some(6000)),
                ("tcp", "127.0.0.1", None),
            ],
        ),
        (
            "http://ff00::/8",
            &[("http", "ff00::1", None), ("http", "[ff12::1]", Some(80))],
            &[("http", "fe80::1", None)],
        ),
        (
            "http://[::1]:8080",
            &[("http", "[::1]", Some(8080)), ("http", "::1", Some(8080))],
            &[("http", "::2", Some(8080))],
        ),
        (
            "http://[::1]",
            &[("http", "::1", Some(80))],
            &[("http", "::1", Some(8080))],
        ),
        (
            "http://self",
            &[],
            &[("http", "self", None), ("http", "localhost", None)],
        ),
        (
            "http://192.168.1.7",
            &[("http", "192.168.1.7", None)],
            &[("http", "192.168.1.8", None)],
        ),
    ];
    for (entry, granted, refused) in cases {
        let hosts = hosts(&[entry]);
        for (scheme, host, port) in granted {
            assert!(
                hosts.allows(scheme, host, *port),
                "{entry}: {scheme} {host} {port:?}"
            );
        }
        for (scheme, host, port) in refused {
            assert!(
                !hosts.allows(scheme, host, *port),
                "{entry}: {scheme} {host} {port:?}"
            );
        }
    }
}

#[test]
fn nothing_listed_is_nothing_allowed() {
    let none = AllowedHosts::default();
    assert!(none.is_empty() && !none.allows("http", "example.com", None));
    assert!(!none.allows_self("http") && !none.has_scheme("http"));
    assert!(!hosts(&["*://*:*"]).allows("http", "not a host", None));
    assert!(!hosts(&["*://*:*"]).allows("postgres", "/var/run/postgresql", 5432));
}

#[test]
fn requests_to_oneself_are_granted_by_name_or_wildcard() {
    assert!(hosts(&["http://self"]).allows_self("http"));
    assert!(!hosts(&["http://self"]).allows_self("https"));
    assert!(hosts(&["*://*:*"]).allows_self("http"));
    assert!(!hosts(&["http://example.com"]).allows_self("http"));
}

#[test]
fn schemes_are_found() {
    let hosts = hosts(&["postgres://db", "http://self"]);
    assert!(hosts.has_scheme("postgres") && !hosts.has_scheme("redis"));
}

#[test]
fn requests_to_components_are_known() {
    let entry: AllowedHost = "http://users.spin.internal".parse().unwrap();
    assert_eq!(entry.chained_component(), Some("users"));
    assert!(hosts(&["http://*.spin.internal"]).allows("http", "users.spin.internal", None));
}

#[test]
fn one_place_is_told_from_many() {
    let single = |text: &str| {
        text.parse::<AllowedHost>()
            .unwrap()
            .single()
            .map(|(s, h, p)| format!("{s} {h} {p}"))
    };
    assert_eq!(single("postgres://db").as_deref(), Some("postgres db 5432"));
    assert_eq!(
        single("redis://[::1]:7000").as_deref(),
        Some("redis [::1] 7000")
    );
    for many in [
        "*://db:1",
        "redis://*",
        "redis://db:*",
        "redis://db:1..2",
        "redis://10.0.0.0/8",
        "http://self",
    ] {
        assert_eq!(single(many), None, "{many}");
    }
}

#[test]
fn what_is_no_destination_is_refused() {
    use AllowedHostError::*;
    for (text, expected) in [
        ("", NoScheme),
        ("*", NoScheme),
        ("example.com", NoScheme),
        ("example.com:8080", NoScheme),
        ("[::1]:8080", NoScheme),
        ("://example.com:80", NoScheme),
        ("{a,b}://example.com:80", Scheme),
        ("ht-tp://example.com:80", Scheme),
        ("ftp://example.com", NoPort),
        ("*://example.com", NoPort),
        ("http://example.com:notaport", Port),
        ("http://example.com:99999", Port),
        ("http://ff00::/8:99999", Port),
        ("http://example.com:8080..", Port),
        ("http://example.com:8080..70000", Port),
        ("http://example.com:9000..8000", EmptyRange),
        ("http://example.com:80/path", Path),
        ("http://example.com/path", Path),
        ("http://127.0.0.0/24/p", Path),
        ("http://example.com//", Path),
        ("http://a.*.com", Wildcard),
        ("http://*.*.com", Wildcard),
        ("http://*.127.0.0.1", Wildcard),
        ("http://*.", Host),
        ("http://exa mple.com", Host),
        ("http://[::1", Host),
        ("http://", Host),
        ("http://{a,b}.com", Host),
    ] {
        assert_eq!(text.parse::<AllowedHost>(), Err(expected), "{text}");
    }
}

#[test]
fn an_entry_shows_its_text_or_another() {
    let entry: AllowedHost = " http://example.com ".parse().unwrap();
    assert_eq!(entry.to_string(), "http://example.com");
    assert_eq!(entry.shown_as("{{ host }}").to_string(), "{{ host }}");
}
