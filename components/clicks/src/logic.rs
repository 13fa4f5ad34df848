//! What a batch of entries says.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::{Head, Method, Refusal, click};
use spin_sdk::pg::ParameterValue;
use uuid::Uuid;

/// An entry as the host delivers it.
#[derive(Deserialize)]
struct Entry<'a> {
    id: String,
    #[serde(borrow)]
    fields: Fields<'a>,
}

/// The fields of a click, by the names that [`click`] gives them. A value that is no
/// text is an object, and no click's.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    c: Option<&'a RawValue>,
    #[serde(borrow)]
    u: Option<&'a RawValue>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

/// 404 and 405 for what is no delivery.
pub(crate) fn route(head: &Head) -> Result<(), Refusal> {
    match (head.path.as_str(), &head.method) {
        ("/", Method::Post) => Ok(()),
        ("/", _) => Err(head.wrong_method("POST")),
        _ => Err(head.no_route()),
    }
}

/// The parameters of [`shared::sql::RECORD_CLICKS`]. 400 that names the first
/// entry that is no click.
pub(crate) fn clicks(body: &[u8]) -> Result<Vec<ParameterValue>, Refusal> {
    let entries: Vec<Entry<'_>> = serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("not a list of entries: {error}")))?;
    let mut ids = Vec::with_capacity(entries.len());
    let mut urls = Vec::with_capacity(entries.len());
    let mut seconds = Vec::with_capacity(entries.len());
    let mut details = Vec::with_capacity(entries.len());
    for Entry { id, fields } in entries {
        let text = |name: &str, value: Option<&RawValue>| {
            let text = value.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
            text.ok_or_else(|| no_click(&id, name, "must be a text"))
        };
        let click = text(click::ID, fields.c)?;
        let click = Uuid::try_parse(&click)
            .ok()
            .and_then(|click| Some((click, click::made_at(click)?)))
            .ok_or_else(|| no_click(&id, click::ID, "must be a UUID of version 7"))?;
        let url: i64 = text(click::URL_ID, fields.u)?
            .parse()
            .map_err(|_| no_click(&id, click::URL_ID, "must be an integer"))?;
        let object = text(click::DETAILS, fields.d)?;
        if !is_object(&object) {
            return Err(no_click(&id, click::DETAILS, "must be a JSON object"));
        }
        ids.push(Some(click.0.to_string()));
        urls.push(Some(url));
        seconds.push(Some(click.1));
        details.push(Some(object));
    }
    Ok(vec![
        ParameterValue::ArrayStr(ids),
        ParameterValue::ArrayInt64(urls),
        ParameterValue::ArrayInt64(seconds),
        ParameterValue::ArrayStr(details),
    ])
}

/// Whether a text is one JSON object, and one that the database takes: it knows
/// no text with a zero byte, and JSON none unescaped.
fn is_object(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|value| value.get().starts_with('{'))
}

fn no_click(id: &str, name: &str, problem: &str) -> Refusal {
    Refusal::invalid(format!("entry {id}: {name}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLICK: &str = "01996406-5f78-7000-8000-000000000001";

    fn entry(click: &str, url: &str, details: &str) -> String {
        serde_json::json!([
            {"id": "1-0", "fields": {"c": CLICK, "u": "7", "d": "{}"}},
            {"id": "2-0", "fields": {"c": click, "u": url, "d": details}},
        ])
        .to_string()
    }

    #[test]
    fn a_batch_becomes_arrays() {
        let parameters = clicks(entry(CLICK, "8", r#"{"a": 1}"#).as_bytes()).unwrap();
        assert!(matches!(&parameters[..], [
            ParameterValue::ArrayStr(ids),
            ParameterValue::ArrayInt64(urls),
            ParameterValue::ArrayInt64(seconds),
            ParameterValue::ArrayStr(details),
        ] if ids[1].as_deref() == Some(CLICK) && *urls == [Some(7), Some(8)]
            && seconds[0] == Some(0x0199_6406_5f78 / 1000)
            && details[1].as_deref() == Some(r#"{"a": 1}"#)));
        assert!(clicks(b"[]").is_ok());
    }

    #[test]
    fn an_entry_that_is_no_click_is_named() {
        for (click, url, details, field) in [
            ("nonsense", "8", "{}", "c"),
            ("f47ac10b-58cc-4372-a567-0e02b2c3d479", "8", "{}", "c"),
            (CLICK, "eight", "{}", "u"),
            (CLICK, "8", "[]", "d"),
            (CLICK, "8", "{\u{0}}", "d"),
            (CLICK, "8", "{} {}", "d"),
        ] {
            let refusal = clicks(entry(click, url, details).as_bytes()).unwrap_err();
            assert_eq!(refusal.status, 400);
            let named = format!("entry 2-0: {field}: ");
            assert!(refusal.message.starts_with(&named), "{}", refusal.message);
        }
        let hex = r#"[{"id":"3-0","fields":{"c":{"hex":"ff"},"u":"1","d":"{}"}}]"#;
        assert!(
            clicks(hex.as_bytes())
                .unwrap_err()
                .message
                .starts_with("entry 3-0: c: ")
        );
        assert_eq!(clicks(b"{}").unwrap_err().status, 400);
    }

    #[test]
    fn only_deliveries_are_taken() {
        assert!(route(&Head::new(Method::Post, "/")).is_ok());
        assert_eq!(route(&Head::new(Method::Get, "/")).unwrap_err().status, 405);
        assert_eq!(
            route(&Head::new(Method::Post, "/x")).unwrap_err().status,
            404
        );
    }
}
