use std::collections::HashSet;

use super::*;

fn parse(text: &str) -> Target {
    Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn one_target_however_it_is_written() {
    let same = [
        "postgres://app:s3cret@db.example/shop",
        "postgresql://app:s3cret@db.example:5432/shop",
        "postgres://app:s3cret@DB.Example/shop?sslmode=prefer",
        "postgres://app:s3cret@db.example/shop?",
        "host=db.example user=app password=s3cret dbname=shop",
        "dbname=shop   password = 's3cret' user=app port=5432 host=db.example sslmode='prefer'",
        "  postgres://app@db.example/shop?password=s3cret  ",
    ];
    let set: HashSet<_> = same.iter().map(|text| parse(text)).collect();
    assert_eq!(set.len(), 1, "{set:?}");
}

#[test]
fn what_differs_is_another_target() {
    let texts = [
        "postgres://app:s3cret@db.example/shop",
        "postgres://app:other@db.example/shop",
        "postgres://app@db.example/shop",
        "postgres://root:s3cret@db.example/shop",
        "postgres://app:s3cret@db.example/other",
        "postgres://app:s3cret@db.example:5433/shop",
        "postgres://app:s3cret@db2.example/shop",
        "postgres://app:s3cret@db.example/shop?sslmode=require",
        "postgres://app:s3cret@db.example/shop?sslmode=require&sslrootcert=/ca.pem",
        "postgres://app:s3cret@db.example/shop?options=-csearch_path%3Dx",
    ];
    let set: HashSet<_> = texts.iter().map(|text| parse(text)).collect();
    assert_eq!(set.len(), texts.len());
}

#[test]
fn defaults_are_filled_in() {
    let target = parse("postgres://app@/");
    assert_eq!(target.servers()[0].to_string(), "postgres://localhost:5432");
    assert_eq!((target.user(), target.database()), ("app", "app"));
    assert_eq!(parse("user=app host=x").database(), "app");
}

#[test]
fn the_origin_is_scheme_host_and_port() {
    assert_eq!(
        parse("postgresql://u@H:6/d").servers()[0].to_string(),
        "postgres://h:6"
    );
    assert_eq!(
        parse("postgres://u@[::1]:6/d").servers()[0].to_string(),
        "postgres://[::1]:6"
    );
    assert_eq!(
        parse("hostaddr=127.0.0.9 user=u").servers()[0].to_string(),
        "postgres://127.0.0.9:5432"
    );
    let socket = parse("host=/run/postgresql user=u").servers().remove(0);
    assert_eq!(
        (socket.host.as_str(), socket.port),
        ("/run/postgresql", 5432)
    );
    assert_eq!(
        parse("postgres://u@%2Frun%2Fpostgresql/d").servers(),
        [socket]
    );
}

#[test]
fn tls_modes_are_those_of_libpq() {
    let mode = |text: &str| parse(&format!("postgres://u@h/d?{text}"));
    assert_eq!(mode("sslmode=disable").tls, TlsMode::Disable);
    assert_eq!(mode("sslmode=verify-ca").tls, TlsMode::VerifyCa);
    let full = mode("connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fetc%2Fca+1.pem");
    assert_eq!(full.tls, TlsMode::VerifyFull);
    assert_eq!(full.roots, Some(Roots::File("/etc/ca+1.pem".into())));
    assert_eq!(
        full.config.get_connect_timeout(),
        Some(&std::time::Duration::from_secs(3))
    );
    let text = parse(r"host=h user=u sslrootcert='/a b/it\'s.pem' sslmode=verify-full dbname=d");
    assert_eq!(text.roots, Some(Roots::File("/a b/it's.pem".into())));
    assert_eq!(text.database(), "d");
    assert_eq!(mode("sslrootcert=system").roots, Some(Roots::System));
}

#[test]
fn faults_name_the_option_and_nothing_else() {
    let fault = |text: &str| Target::parse(text).expect_err(text);
    assert_eq!(fault(""), AddressError::Malformed);
    assert_eq!(fault("mysql://u:p@h/d"), AddressError::Malformed);
    assert_eq!(fault("just words"), AddressError::Malformed);
    assert_eq!(fault("host='open"), AddressError::Malformed);
    assert_eq!(
        fault("postgres://u@h/d?sslmode=allow"),
        AddressError::Value("sslmode")
    );
    assert_eq!(fault("host=h user=u port=abc"), AddressError::Value("port"));
    assert_eq!(
        fault("host=h user=u sslcert=/x"),
        AddressError::Option("sslcert")
    );
    assert_eq!(
        fault("host=h user=u password=a b=c"),
        AddressError::UnknownOption
    );
    assert_eq!(
        fault("host=a,b hostaddr=10.0.0.1 user=u"),
        AddressError::SeveralAddresses
    );
    assert_eq!(fault("host=a,b,c port=1,2 user=u"), AddressError::Ports);
}

#[test]
fn several_servers_have_a_port_each() {
    let shown = |text: &str| parse(text).to_string();
    assert_eq!(
        shown("postgres://u@A,b:6/d"),
        "postgres://a:5432,b:6/d as u"
    );
    assert_eq!(
        shown("host=a,::1 port=7 user=u dbname=d"),
        "postgres://a:7,[::1]:7/d as u"
    );
    assert_eq!(
        parse("postgres://u@a:1,b:2/d"),
        parse("host=a,b port=1,2 user=u dbname=d")
    );
    assert_ne!(parse("postgres://u@a,b/d"), parse("postgres://u@b,a/d"));
}

#[test]
fn where_a_connection_goes_has_to_be_granted_too() {
    let shown = |text: &str| -> Vec<String> {
        let origins = parse(text).origins();
        origins.iter().map(ToString::to_string).collect()
    };
    assert_eq!(shown("postgres://u@h/d"), ["postgres://h:5432"]);
    assert_eq!(
        shown("postgres://u@h,i:1/d"),
        ["postgres://h:5432", "postgres://i:1"]
    );
    assert_eq!(
        shown("host=h hostaddr=10.0.0.1 user=u"),
        ["postgres://h:5432", "postgres://10.0.0.1:5432"]
    );
    assert_eq!(
        shown("hostaddr=10.0.0.1 user=u"),
        ["postgres://10.0.0.1:5432"]
    );
}

#[test]
fn a_root_certificate_of_the_callers_is_part_of_the_target() {
    const CA: &[u8] = include_bytes!("test_ca.pem");
    let mode = |text: &str| parse(&format!("postgres://u@h/d{text}"));
    let trusting = mode("").with_root_certificates(CA);
    let others = [mode(""), mode("").with_root_certificates(b"other")];
    assert!(!others.contains(&trusting));
    assert_eq!(trusting, mode("").with_root_certificates(CA));
    assert!(!trusting.names_a_file());
    assert!(mode("?sslrootcert=/ca.pem").names_a_file());
    for (text, tls, ssl) in [
        ("", TlsMode::VerifyFull, SslMode::Require),
        ("?sslmode=require", TlsMode::VerifyFull, SslMode::Require),
        ("?sslmode=verify-ca", TlsMode::VerifyCa, SslMode::Require),
        ("?sslmode=disable", TlsMode::Disable, SslMode::Disable),
    ] {
        let target = mode(text).with_root_certificates(CA);
        assert_eq!((target.tls, target.config.get_ssl_mode()), (tls, ssl));
        assert_eq!(target.check(), Ok(()));
    }
    for pem in [&b""[..], b"not PEM", &CA[..CA.len() / 2]] {
        let checked = mode("").with_root_certificates(pem).check();
        assert!(
            matches!(checked, Err(AddressError::RootCertificates(_))),
            "{checked:?}"
        );
    }
}

#[test]
fn nothing_shows_the_password() {
    let target = parse("postgres://app:s3cret@h/d").with_root_certificates(b"pem");
    for shown in [
        format!("{target:?}"),
        target.to_string(),
        format!("{:#?}", target.servers()[0]),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    for text in [
        "postgres://app:s3cret@h:port/d",
        "postgres://app:s3cret@h/d?x",
        "password=s3cret s3cret",
    ] {
        let error = Target::parse(text).expect_err(text);
        assert!(
            !format!("{error:?} {error}").contains("s3cret"),
            "{error:?}"
        );
    }
}
