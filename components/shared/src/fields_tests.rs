use super::*;

fn fields(body: &str) -> Fields<'_> {
    Fields::parse(None, body.as_bytes()).unwrap()
}

#[test]
fn a_body_is_one_json_object() {
    for body in [
        "", " ", "null", "true", "1", "\"a\"", "[]", "{", "{\"a\":1", "{}x", "{'a':1}",
    ] {
        let refusal = Fields::parse(None, body.as_bytes()).unwrap_err();
        assert_eq!(
            (refusal.status, &refusal.message[..4]),
            (400, "body"),
            "{body}"
        );
    }
    assert!(Fields::parse(None, b"{\"a\":\"\xff\"}").is_err());
    assert!(Fields::parse(None, b" {\"a\": 1, \"b\": [{}]} ").is_ok());
}

#[test]
fn a_deep_body_is_no_danger() {
    let deep = format!("{{\"a\":{}}}", "[".repeat(100_000));
    assert!(Fields::parse(None, deep.as_bytes()).is_err());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let fields = fields(&deep);
    assert_eq!(fields.nullable_object("a").unwrap_err().status, 400);
    assert_eq!(fields.string("a").unwrap_err().status, 400);
}

#[test]
fn a_content_type_that_is_not_json_is_refused() {
    for good in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/x+json",
    ] {
        assert!(
            Fields::parse(Some(good.as_bytes()), b"{}").is_ok(),
            "{good}"
        );
    }
    for bad in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "application/jsonx",
    ] {
        assert_eq!(
            Fields::parse(Some(bad.as_bytes()), b"{}")
                .unwrap_err()
                .status,
            415,
            "{bad}"
        );
    }
}

#[test]
fn integers_are_json_integers_from_one() {
    let good = fields(r#"{"a":1,"b":9223372036854775807,"c":null}"#);
    assert_eq!(good.required_id("a"), Ok(1));
    assert_eq!(good.nullable_id("b"), Ok(Some(i64::MAX)));
    assert_eq!(good.nullable_id("c"), Ok(None));
    assert_eq!(good.nullable_id("absent"), Ok(None));
    assert!(good.required_id("c").is_err());
    assert_eq!(
        good.required_id("absent").unwrap_err().message,
        "absent: is missing"
    );
    for bad in [
        "\"1\"",
        "true",
        "1.5",
        "1.0",
        "1e2",
        "0",
        "-1",
        "-0",
        "[1]",
        "{}",
        "1000000000000000000000000000000",
        "9223372036854775808",
    ] {
        let body = format!("{{\"id\":{bad}}}");
        assert_eq!(
            fields(&body).nullable_id("id").unwrap_err().status,
            400,
            "{bad}"
        );
    }
}

#[test]
fn strings_are_strings() {
    let good = fields(r#"{"a":"x\u00e9","n":null}"#);
    assert_eq!(good.required_string("a").unwrap(), "xé");
    assert_eq!(good.nullable_string("n"), Ok(None));
    assert!(good.string("n").is_err());
    assert!(good.required_string("n").is_err());
    for bad in ["1", "true", "[]", "{}", "\"a\\u0000b\"", "\"\\ud800\""] {
        let body = format!("{{\"s\":{bad}}}");
        assert_eq!(
            fields(&body).nullable_string("s").unwrap_err().status,
            400,
            "{bad}"
        );
    }
}

#[test]
fn objects_are_kept_as_they_are() {
    let body = r#"{"d": {"b":1.0, "a" : [true]} ,"n":null}"#;
    assert_eq!(
        fields(body).nullable_object("d").unwrap().unwrap(),
        r#"{"b":1.0, "a" : [true]}"#
    );
    assert_eq!(fields(body).nullable_object("n"), Ok(None));
    for bad in [
        r#""{}""#,
        "[]",
        "1",
        "true",
        r#"{"a":"\u0000"}"#,
        r#"{"\u0000":1}"#,
        "{\"a\":1e999}",
    ] {
        let body = format!("{{\"d\":{bad}}}");
        assert_eq!(
            fields(&body).nullable_object("d").unwrap_err().status,
            400,
            "{bad}"
        );
    }
}

#[test]
fn flags_are_booleans() {
    assert_eq!(fields(r#"{"a":true}"#).flag("a"), Ok(Some(true)));
    assert_eq!(fields("{}").flag("a"), Ok(None));
    for bad in ["null", "1", "\"true\"", "[]"] {
        assert!(
            fields(&format!("{{\"a\":{bad}}}")).flag("a").is_err(),
            "{bad}"
        );
    }
}
