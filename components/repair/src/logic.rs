//! What is to be repaired.

use serde::Deserialize;
use shared::{
    Head, Method, Refusal,
    cache::{Cached, Link},
    model::FromRow,
    row::{Columns, Malformed},
};
use spin_sdk::pg::ParameterValue;

/// Which intents to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Every one: the cache may have lost what it had.
    All,
    /// Those that nobody wrote.
    Left,
}

/// 404 and 405 for what is no request of the host's.
pub(crate) fn route(head: &Head) -> Result<(), Refusal> {
    match (head.path.as_str(), &head.method) {
        ("/", Method::Post) => Ok(()),
        ("/", _) => Err(head.wrong_method("POST")),
        _ => Err(head.no_route()),
    }
}

/// Reads a request.
pub(crate) fn asked(body: &[u8]) -> Result<Asked, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        all: bool,
    }
    match serde_json::from_slice(body) {
        Ok(Body { all: true }) => Ok(Asked::All),
        Ok(Body { all: false }) => Ok(Asked::Left),
        Err(error) => Err(Refusal::invalid(format!("body: {error}"))),
    }
}

/// A change of a link, as what the cache is to hold: the link as it is now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) short_code: String,
    pub(crate) cached: Cached,
}

impl FromRow for Intent {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        let short_code = row.text()?;
        let version = row.int()?;
        let id = row.nullable_int()?;
        let original_url = row.nullable_text()?;
        let is_active = row.flag()?;
        let link = id
            .zip(original_url)
            .map(|(id, original_url)| Link { id, original_url });
        Ok(Self {
            short_code,
            cached: Cached {
                version,
                link: link.filter(|_| is_active),
            },
        })
    }
}

/// The parameters of [`shared::sql::WRITTEN`] for those that were.
pub(crate) fn written(intents: &[Intent], written: &[bool]) -> Vec<ParameterValue> {
    let done = intents.iter().zip(written);
    let done = done.filter_map(|(intent, written)| written.then_some(intent));
    let (codes, versions) = done
        .map(|intent| (Some(intent.short_code.clone()), Some(intent.cached.version)))
        .unzip();
    vec![
        ParameterValue::ArrayStr(codes),
        ParameterValue::ArrayInt64(versions),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use spin_sdk::pg::DbValue;

    fn intent(active: bool, id: DbValue, url: DbValue) -> Intent {
        let row = vec![
            DbValue::Str("abc".into()),
            DbValue::Int64(3),
            id,
            url,
            DbValue::Boolean(active),
        ];
        Intent::from_row(&mut Columns::new(row)).unwrap()
    }

    #[test]
    fn the_cache_is_to_hold_the_link_as_it_is_now() {
        let url = || DbValue::Str("https://example.com".into());
        let active = intent(true, DbValue::Int64(7), url());
        assert_eq!(active.cached.version, 3);
        assert_eq!(active.cached.link.unwrap().id, 7);
        assert_eq!(intent(false, DbValue::Int64(7), url()).cached.link, None);
        let gone = intent(false, DbValue::DbNull, DbValue::DbNull);
        assert_eq!(gone.cached.link, None);
    }

    #[test]
    fn only_what_was_written_is_marked() {
        let made = |code: &str| Intent {
            short_code: code.into(),
            cached: Cached {
                version: 2,
                link: None,
            },
        };
        let parameters = written(&[made("a"), made("b")], &[false, true]);
        assert!(matches!(&parameters[..], [
            ParameterValue::ArrayStr(codes),
            ParameterValue::ArrayInt64(versions),
        ] if *codes == [Some("b".to_owned())] && *versions == [Some(2)]));
    }

    #[test]
    fn a_request_says_which() {
        assert_eq!(asked(br#"{"all":true}"#), Ok(Asked::All));
        assert_eq!(asked(br#"{"all":false}"#), Ok(Asked::Left));
        for bad in ["", "{}", r#"{"all":1}"#, r#"{"all":true,"x":1}"#] {
            assert_eq!(asked(bad.as_bytes()).unwrap_err().status, 400, "{bad}");
        }
    }
}
