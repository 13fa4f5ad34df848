use shared::paging::Position;

use super::*;

fn at(method: Method, target: &str) -> Result<Route, Refusal> {
    route(&Head::new(method, target))
}

fn fields(body: &str) -> Fields<'_> {
    Fields::parse(None, body.as_bytes()).unwrap()
}

#[test]
fn requests_find_their_route() {
    assert_eq!(at(Method::Get, "/urls/7"), Ok(Route::Read(7)));
    assert_eq!(at(Method::Post, "/urls"), Ok(Route::Create));
    assert_eq!(at(Method::Put, "/urls/7"), Ok(Route::Change(7)));
    assert_eq!(at(Method::Delete, "/urls/7"), Ok(Route::Delete(7)));
    assert_eq!(at(Method::Get, "/urls/J1O697").unwrap_err().status, 404);
    assert_eq!(
        at(Method::Put, "/urls").unwrap_err().allow,
        Some("GET, HEAD, POST")
    );
}

#[test]
fn each_filter_has_its_list_and_parameters() {
    let page = Page {
        position: Position::After(0),
        rows: 100,
    };
    for (query, user_id, is_active, count) in [
        ("", None, None, 0),
        ("?user_id=3", Some(3), None, 1),
        ("?is_active=True", None, Some(true), 1),
        ("?is_active=false&user_id=3", Some(3), Some(false), 2),
    ] {
        let filter = Filter { user_id, is_active };
        assert_eq!(
            at(Method::Get, &format!("/urls{query}")),
            Ok(Route::List(page, filter))
        );
        assert_eq!(filter.parameters().len(), count);
        assert!(
            filter
                .list()
                .after
                .contains(&format!("LIMIT ${}", count + 2))
        );
    }
    for query in [
        "user_id=abc",
        "user_id=0",
        "user_id=",
        "is_active=maybe",
        "is_active=1",
    ] {
        assert_eq!(
            at(Method::Get, &format!("/urls?{query}"))
                .unwrap_err()
                .status,
            400,
            "{query}"
        );
    }
}

#[test]
fn a_new_url_needs_a_target() {
    let new = new_url(&fields(
        r#"{"original_url":"https://e.com/?q=%20#f","user_id":null}"#,
    ))
    .unwrap();
    assert_eq!(new.original_url, "https://e.com/?q=%20#f");
    assert_eq!((new.user_id, new.title, new.short_code), (None, None, None));
    for (body, named) in [
        (r#"{}"#, "original_url: is missing"),
        (r#"{"original_url":null}"#, "original_url"),
        (r#"{"original_url":"word"}"#, "original_url"),
        (r#"{"original_url":["https://e.com"]}"#, "original_url"),
        (
            r#"{"original_url":"https://e.com","user_id":"1"}"#,
            "user_id",
        ),
        (r#"{"original_url":"https://e.com","user_id":0}"#, "user_id"),
        (r#"{"original_url":"https://e.com","title":""}"#, "title"),
        (r#"{"original_url":"https://e.com","title":5}"#, "title"),
        (
            r#"{"original_url":"https://e.com","short_code":"a b"}"#,
            "short_code",
        ),
        (
            r#"{"original_url":"https://e.com","short_code":"users"}"#,
            "short_code",
        ),
    ] {
        let refusal = new_url(&fields(body)).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert!(
            refusal.message.starts_with(named),
            "{body}: {}",
            refusal.message
        );
    }
}

#[test]
fn the_created_event_tells_code_and_target() {
    let new = new_url(&fields(r#"{"original_url":"https://e.com/\"x\""}"#));
    assert!(new.is_ok());
    let parameters = new.unwrap().parameters("abc123");
    assert!(matches!(&parameters[4], ParameterValue::Str(details)
        if details == r#"{"short_code":"abc123","original_url":"https://e.com/\"x\""}"#));
}

#[test]
fn a_change_names_what_it_changes() {
    assert!(change(&fields("{}")).unwrap().is_empty());
    assert!(
        change(&fields(r#"{"user_id":5,"short_code":"zzz"}"#))
            .unwrap()
            .is_empty()
    );
    let named = change(&fields(r#"{"title":null}"#)).unwrap();
    assert_eq!(named.title, Some(None));
    assert!(!named.is_empty());
    let all = r#"{"title":"t","is_active":false,"original_url":"https://e.com"}"#;
    let all = change(&fields(all)).unwrap();
    assert_eq!(
        (all.title, all.is_active),
        (Some(Some("t".into())), Some(false))
    );
    for body in [
        r#"{"is_active":null}"#,
        r#"{"is_active":"true"}"#,
        r#"{"is_active":1}"#,
        r#"{"original_url":null}"#,
        r#"{"original_url":"ftp://e.com"}"#,
        r#"{"title":" "}"#,
        r#"{"title":true}"#,
    ] {
        assert_eq!(change(&fields(body)).unwrap_err().status, 400, "{body}");
    }
}
