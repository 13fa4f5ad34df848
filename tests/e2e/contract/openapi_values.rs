//! Values of parameters and fields: what the document takes is taken, and what it
//! refuses is refused.

use futures::future::join_all;
use serde_json::{Map, Value, json};
use warmlink_tests::openapi::Place;
use warmlink_tests::{rig, unique};

use super::openapi_answers::Walk;

/// As a query has them, and as they are read.
const TEXTS: [(&str, &str); 16] = [
    ("0", "0"),
    ("1", "1"),
    ("-1", "-1"),
    ("1000", "1000"),
    ("1001", "1001"),
    ("1.5", "1.5"),
    ("9223372036854775807", "9223372036854775807"),
    ("9223372036854775808", "9223372036854775808"),
    ("", ""),
    ("+", " "),
    ("%00", "\0"),
    ("abc", "abc"),
    ("true", "true"),
    ("FALSE", "FALSE"),
    ("maybe", "maybe"),
    ("%E2%9C%93", "✓"),
];

/// Every parameter of the lists with every value.
pub(super) async fn lists(walk: &Walk) {
    let places = walk.document.places();
    let places = places.iter().filter(|place| place.method == "GET");
    // Nobody has to wait for another's answers.
    let parameters = places.flat_map(|place| {
        let parameters = walk.document.query(place).into_iter();
        parameters.map(move |(name, schema)| parameter(walk, place, name, schema))
    });
    join_all(parameters).await;
}

async fn parameter(walk: &Walk, place: &Place, name: &str, schema: &Value) {
    let path = &place.path;
    let (mut taken, mut refused) = (0, 0);
    for (sent, text) in TEXTS {
        let value = walk.document.read(schema, text);
        let verdict = walk.document.check_request(schema, &value);
        // The last of two is what counts.
        let target = match name {
            "per_page" => format!("{path}?{name}={sent}"),
            _ => format!("{path}?{name}={sent}&per_page=3"),
        };
        let reply = walk.ask("GET", path, &target, &[], "").await;
        let (status, seen) = match verdict {
            Ok(()) => (200, &mut taken),
            Err(_) => (400, &mut refused),
        };
        if status == 200 {
            reply.expect(200);
        } else {
            reply.error_naming(400, name);
        }
        // One of each is enough to know that `HEAD` goes the same way.
        if *seen == 0 {
            let head = walk.ask("HEAD", path, &target, &[], "").await;
            head.expect(status);
        }
        *seen += 1;
    }
    assert!(taken > 0 && refused > 0, "{place}: {name}");
}

fn values() -> Vec<Value> {
    let long = |length| "x".repeat(length);
    let mut values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.0),
        json!(i64::MAX),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!({ "a": [1, "b"] }),
        json!({ "a": ["\0"] }),
        json!(format!("https://example.com/{}", long(2028))),
        json!(format!("https://example.com/{}", long(2029))),
    ];
    let texts = [
        "",
        " ",
        "x",
        "a b",
        "1",
        "{}",
        "a\0b",
        "a@b",
        "a@b@c",
        "users",
        "abc_-9",
        "https://",
        "HTTPS://example.com/?a=%20#b",
        "https://example.com/a b",
        "javascript:alert(1)",
    ];
    values.extend(texts.map(Value::from));
    values.extend([80, 81, 254, 255, 256].map(|length| long(length).into()));
    values
}

/// Every field of the JSON bodies with every value, and without any.
pub(super) async fn bodies(walk: &Walk) {
    let user = rig::a_user(&walk.api).await;
    let url = &rig::a_url(&walk.api).await;
    let places = walk.document.places();
    let mut fields = Vec::new();
    for place in &places {
        let Some((schema, _)) = walk.document.body(place) else {
            continue;
        };
        let target = match place.path.as_str() {
            "/users/{id}" => rig::path("users", &user),
            "/urls/{id}" => rig::path("urls", url),
            path => path.to_owned(),
        };
        for name in walk.document.fields(schema).0 {
            fields.push(field(walk, place, target.clone(), name, url));
        }
    }
    join_all(fields).await;
}

async fn field(walk: &Walk, place: &Place, target: String, name: &str, url: &Value) {
    let (schema, _) = walk.document.body(place).expect("it has a body");
    let (_, required) = walk.document.fields(schema);
    let absent = std::iter::once(None);
    for value in absent.chain(values().into_iter().map(Some)) {
        let needed = required.iter().filter(|needed| **needed != name);
        let needed = needed.map(|needed| ((*needed).to_owned(), right(needed, url)));
        let mut body: Map<String, Value> = needed.collect();
        body.extend(value.map(|value| (name.to_owned(), value)));
        let body = Value::Object(body);
        let verdict = walk.document.check_request(schema, &body);
        let reply = walk.send(&place.method, &place.path, &target, &body).await;
        match verdict {
            // What it refers to need not be there, and what it takes may be taken.
            Ok(()) => assert!(
                matches!(reply.status.as_u16(), 200 | 201 | 404 | 409),
                "{place} took no {body}: {}",
                reply.text()
            ),
            Err(_) => reply.error_naming(400, name),
        }
    }
}

/// A value that a required field takes.
fn right(field: &str, url: &Value) -> Value {
    match field {
        "username" => unique::name("field").into(),
        "email" => format!("{}@example.com", unique::name("field")).into(),
        "original_url" => "https://example.com/field".into(),
        "url_id" => url["id"].clone(),
        "event_type" => "field".into(),
        other => panic!("what does {other} take?"),
    }
}
