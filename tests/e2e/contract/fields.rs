//! What the fields of a body may hold.

use serde_json::json;
use warmlink_tests::{rig, run, unique};

use super::places::Places;

#[test]
fn what_is_no_string_is_refused_where_one_belongs() {
    run(async {
        let places = Places::new().await;
        for raw in [
            "5",
            "0",
            "1.5",
            "true",
            "false",
            "[]",
            "[\"abc\"]",
            "{}",
            "{\"a\":\"b\"}",
        ] {
            places.refuse("string", raw).await;
        }
        places.assert_untouched().await;
    });
}

#[test]
fn a_string_holds_something_and_no_nul() {
    run(async {
        let places = Places::new().await;
        for raw in [
            "\"\"",
            "\"   \"",
            "\"\\t\\n\"",
            "\"\\u0000\"",
            "\"abc\\u0000def@example.com\"",
        ] {
            places.refuse("string", raw).await;
        }
        places.assert_untouched().await;
    });
}

#[test]
fn what_is_no_positive_json_integer_is_refused_where_one_belongs() {
    run(async {
        let places = Places::new().await;
        let huge = format!("1{}", "0".repeat(30));
        for raw in [
            "\"1\"",
            "\"\"",
            "true",
            "false",
            "1.5",
            "1.0",
            "1e0",
            "0",
            "-0",
            "-1",
            "9223372036854775808",
            "18446744073709551617",
            huge.as_str(),
            "[1]",
            "{}",
        ] {
            places.refuse("integer", raw).await;
        }
        places.assert_untouched().await;
    });
}

#[test]
fn a_field_that_must_be_there_is_named_where_it_is_not() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for (path, body, field) in [
            ("/users", json!({ "email": "a@example.com" }), "username"),
            (
                "/users",
                json!({ "username": null, "email": "a@example.com" }),
                "username",
            ),
            ("/users", json!({ "username": "a" }), "email"),
            ("/users", json!({ "username": "a", "email": null }), "email"),
            ("/users", json!({}), "username"),
            ("/urls", json!({ "title": "a" }), "original_url"),
            ("/urls", json!({ "original_url": null }), "original_url"),
            ("/events", json!({}), "event_type"),
            (
                "/events",
                json!({ "event_type": null, "url_id": 1 }),
                "event_type",
            ),
            ("/events", json!({ "event_type": "note" }), "url_id"),
        ] {
            api.post(path, &body).await.error_naming(400, field);
        }
    });
}

#[test]
fn the_longest_strings_fit_and_no_longer_ones() {
    run(async {
        let places = Places::new().await;
        // Lengths count characters: two bytes each here.
        let of = |length: usize| {
            let name = unique::name("");
            format!("{}{name}", "é".repeat(length - name.len()))
        };
        let email = |length: usize| {
            let domain = "@example.com";
            format!("{}{domain}", of(length - domain.len()))
        };
        let (user, url) = (
            rig::path("users", &places.user),
            rig::path("urls", &places.url),
        );
        let api = &places.api;
        for (path, field, longest, longer) in [
            (&user, "username", of(80), of(81)),
            (&user, "email", email(254), email(255)),
            (&url, "title", of(255), of(256)),
        ] {
            api.put(path, &json!({ field: longer }))
                .await
                .error_naming(400, field);
            let object = api
                .put(path, &json!({ field: longest }))
                .await
                .expect(200)
                .value();
            assert_eq!(object[field], longest);
        }
        let body = json!({ "username": of(80), "email": email(254) });
        api.post("/users", &body).await.expect(201);
        for (body, field) in [
            (
                json!({ "username": of(81), "email": email(254) }),
                "username",
            ),
            (json!({ "username": of(80), "email": email(255) }), "email"),
        ] {
            api.post("/users", &body).await.error_naming(400, field);
        }
    });
}

#[test]
fn an_email_has_one_at_sign_with_something_on_both_sides() {
    run(async {
        let places = Places::new().await;
        let user = rig::path("users", &places.user);
        for email in [
            "plain", "@", "a@", "@b", " @b", "a@ ", "a@b@c", "@@", "a@@b",
        ] {
            let body = json!({ "username": unique::name("mail"), "email": email });
            places
                .api
                .post("/users", &body)
                .await
                .error_naming(400, "email");
            places
                .api
                .put(&user, &json!({ "email": email }))
                .await
                .error_naming(400, "email");
        }
        places.assert_untouched().await;
    });
}
