use super::*;

fn at(method: Method, target: &str) -> Result<Route, Refusal> {
    route(&Head::new(method, target))
}

fn fields(body: &str) -> Fields<'_> {
    Fields::parse(None, body.as_bytes()).unwrap()
}

#[test]
fn filters_combine() {
    for (query, parameters) in [
        ("", 0),
        ("url_id=1", 1),
        ("user_id=2", 1),
        ("event_type=click", 1),
        ("url_id=1&user_id=2", 2),
        ("url_id=1&event_type=a+b", 2),
        ("user_id=2&event_type=%C3%BC", 2),
        ("event_type=x&user_id=2&url_id=1", 3),
    ] {
        let Route::List(_, filter) = at(Method::Get, &format!("/events?{query}")).unwrap() else {
            panic!("{query} is a list");
        };
        assert!(
            filter
                .list()
                .after
                .contains(&format!("LIMIT ${}", parameters + 2)),
            "{query}"
        );
        assert_eq!(filter.into_parameters().len(), parameters, "{query}");
    }
}

#[test]
fn wrong_filters_are_named() {
    for (query, named) in [
        ("url_id=abc", "url_id"),
        ("url_id=0", "url_id"),
        ("user_id=1e3", "user_id"),
        ("user_id=9223372036854775808", "user_id"),
        ("event_type=", "event_type"),
        ("event_type=%00", "event_type"),
        ("per_page=0", "per_page"),
    ] {
        let refusal = at(Method::Get, &format!("/events?{query}")).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert!(
            refusal.message.starts_with(named),
            "{query}: {}",
            refusal.message
        );
    }
}

#[test]
fn events_are_not_changed() {
    for method in [Method::Put, Method::Delete, Method::Other("PATCH".into())] {
        assert_eq!(
            at(method, "/events").unwrap_err().allow,
            Some("GET, HEAD, POST")
        );
    }
    assert_eq!(at(Method::Post, "/events"), Ok(Route::Record));
}

#[test]
fn details_are_an_object_or_nothing() {
    let with = |details: &str| {
        new_event(&fields(&format!(
            r#"{{"event_type":"t","url_id":1,"details":{details}}}"#
        )))
    };
    assert_eq!(with("null").unwrap().details, "{}");
    assert_eq!(with(r#"{"a": 1.0}"#).unwrap().details, r#"{"a": 1.0}"#);
    assert_eq!(
        new_event(&fields(r#"{"event_type":"t","url_id":1}"#))
            .unwrap()
            .details,
        "{}"
    );
    for wrong in [r#""{}""#, r#""{\"a\":1}""#, "[]", "1", "true", r#""x""#] {
        let refusal = with(wrong).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert!(refusal.message.starts_with("details"), "{wrong}");
    }
}

#[test]
fn type_and_url_are_required() {
    for (body, named) in [
        (r#"{"url_id":1}"#, "event_type"),
        (r#"{"event_type":"t"}"#, "url_id"),
        (r#"{"event_type":5,"url_id":1}"#, "event_type"),
        (r#"{"event_type":" ","url_id":1}"#, "event_type"),
        (r#"{"event_type":"t","url_id":"1"}"#, "url_id"),
        (r#"{"event_type":"t","url_id":null}"#, "url_id"),
        (r#"{"event_type":"t","url_id":1,"user_id":true}"#, "user_id"),
    ] {
        let refusal = new_event(&fields(body)).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert!(
            refusal.message.starts_with(named),
            "{body}: {}",
            refusal.message
        );
    }
}

#[test]
fn what_is_unknown_is_a_404() {
    let new = || new_event(&fields(r#"{"event_type":"t","url_id":4,"user_id":5}"#)).unwrap();
    let refusal = new().into_event(Made::UnknownUrl).unwrap_err();
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (404, "url_id: no url has the id 4")
    );
    let refusal = new().into_event(Made::UnknownUser).unwrap_err();
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (404, "user_id: no user has the id 5")
    );
}
