//! What the application promises its clients.

mod bodies;
mod cache;
mod codes;
mod concurrency;
mod errors;
mod evaluation;
mod events;
mod fields;
mod files;
mod health;
mod import_refusals;
mod import_rows;
mod import_stream;
mod imports;
mod lists;
mod openapi;
mod openapi_answers;
mod openapi_values;
mod parameters;
mod places;
mod redirect;
mod routes;
mod service_events;
mod targets;
mod urls;
mod users;

use serde_json::Value;

/// `2025-09-19T22:25:05`: no zone, no fraction.
#[track_caller]
pub(crate) fn assert_time(value: &Value) {
    let text = value.as_str().expect("a time is a string");
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00", "{text}");
}

/// Exactly these fields, no more and no fewer.
#[track_caller]
fn assert_fields(object: &Value, fields: &[&str]) {
    let mut found: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut wanted = fields.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

/// Six of `A-Za-z0-9`.
#[track_caller]
fn assert_code(value: &Value) {
    let code = value.as_str().unwrap();
    assert_eq!(code.len(), 6, "{code}");
    assert!(
        code.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{code}"
    );
}
