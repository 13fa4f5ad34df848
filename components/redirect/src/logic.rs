//! What a visit is, and how it is answered.

use serde::Serialize;
use shared::{
    Answer, Head, Method, Refusal, Reply,
    cache::Link,
    click::Click,
    code,
    model::FromRow,
    row::{Columns, Malformed},
};
use spin_sdk::pg::ParameterValue;
use uuid::Builder;

/// A request understood: for which code, and whether it is a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Visit(String),
    Look(String),
}

/// Finds out what a request asks for. What cannot be a code is no link's.
pub(crate) fn route(head: &Head) -> Result<Asked, Refusal> {
    let segments = head.segments().ok_or_else(|| head.no_route())?;
    let code = match segments.as_slice() {
        [code] => code,
        [urls, code, redirect] if urls == "urls" && redirect == "redirect" => code,
        _ => return Err(head.no_route()),
    };
    let visit = match head.method {
        Method::Get => true,
        Method::Head => false,
        _ => return Err(head.wrong_method("GET, HEAD")),
    };
    if !code::is_well_formed(code) {
        return Err(unknown(code));
    }
    let code = code.clone().into_owned();
    Ok(if visit {
        Asked::Visit(code)
    } else {
        Asked::Look(code)
    })
}

/// A visit as it is recorded.
pub(crate) struct Visit {
    /// A UUID as text.
    pub(crate) id: String,
    pub(crate) referrer: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// The visit's own id: random, but for the time in front, which keeps the index
/// of visits growing at its end.
pub(crate) fn visit_id(unix_millis: u64, random: &[u8]) -> String {
    let mut tail = [0; 10];
    tail.iter_mut()
        .zip(random)
        .for_each(|(to, from)| *to = *from);
    Builder::from_unix_timestamp_millis(unix_millis, &tail)
        .into_uuid()
        .to_string()
}

impl Visit {
    /// What its event tells, as a JSON object.
    pub(crate) fn details(&self, code: &str, link: &Link) -> String {
        #[derive(Serialize)]
        struct Details<'a> {
            short_code: &'a str,
            original_url: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            referrer: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            user_agent: Option<&'a str>,
        }
        let details = Details {
            short_code: code,
            original_url: &link.original_url,
            referrer: self.referrer.as_deref(),
            user_agent: self.user_agent.as_deref(),
        };
        serde_json::to_string(&details).expect("strings are always JSON")
    }

    /// The visit as the stream has it.
    pub(crate) fn click<'a>(&'a self, link: &Link, details: &'a str) -> Click<'a> {
        Click {
            id: &self.id,
            url_id: link.id,
            details,
        }
    }

    /// The parameters of [`shared::sql::VISIT_CACHED`].
    pub(crate) fn of_cached(
        &self,
        code: &str,
        link: &Link,
        version: i64,
        details: String,
    ) -> Vec<ParameterValue> {
        vec![
            link.id.into(),
            version.into(),
            code.to_owned().into(),
            link.original_url.clone().into(),
            ParameterValue::Uuid(self.id.clone()),
            details.into(),
        ]
    }

    /// The parameters of [`shared::sql::VISIT_BY_CODE`].
    pub(crate) fn of_code(self, code: &str) -> Vec<ParameterValue> {
        vec![
            code.to_owned().into(),
            ParameterValue::Uuid(self.id),
            self.referrer.into(),
            self.user_agent.into(),
        ]
    }
}

/// What [`shared::sql::VISIT_BY_CODE`] and [`shared::sql::LINK_BY_CODE`] answer.
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) original_url: String,
    pub(crate) version: i64,
}

impl FromRow for Found {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        Ok(Self {
            id: row.int()?,
            original_url: row.text()?,
            version: row.int()?,
        })
    }
}

/// The way to the target, not to be stored: the next visit shall be seen too.
pub(crate) fn redirect(target: Option<String>, code: &str) -> Answer {
    match target {
        Some(target) => Ok(Reply::empty(302)
            .with("location", target)
            .with("cache-control", "no-store")),
        None => Err(unknown(code)),
    }
}

fn unknown(code: &str) -> Refusal {
    Refusal::missing(format!("no active link has the code {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(method: Method, target: &str) -> Result<Asked, Refusal> {
        route(&Head::new(method, target))
    }

    #[test]
    fn both_paths_lead_to_a_code() {
        assert_eq!(
            at(Method::Get, "/J1O697"),
            Ok(Asked::Visit("J1O697".into()))
        );
        assert_eq!(
            at(Method::Get, "/123456?x=1"),
            Ok(Asked::Visit("123456".into()))
        );
        assert_eq!(
            at(Method::Get, "/urls/123456/redirect"),
            Ok(Asked::Visit("123456".into()))
        );
        assert_eq!(
            at(Method::Head, "/J1O697"),
            Ok(Asked::Look("J1O697".into()))
        );
    }

    #[test]
    fn what_is_no_code_is_no_link() {
        for path in [
            "/",
            "/ab",
            "/favicon.ico",
            "/%20%20%20",
            "/urls/a/redirect",
            "/a/b/c",
            "/abc/x",
        ] {
            assert_eq!(at(Method::Get, path).unwrap_err().status, 404, "{path}");
        }
        assert_eq!(
            at(Method::Post, "/J1O697").unwrap_err().allow,
            Some("GET, HEAD")
        );
    }

    #[test]
    fn a_redirect_is_exact_and_not_stored() {
        let target = "https://example.com/ü?a=%20#x".to_owned();
        let reply = redirect(Some(target.clone()), "abc").unwrap();
        assert_eq!(reply.status, 302);
        assert_eq!(reply.header("location"), Some(target.as_bytes()));
        assert_eq!(reply.header("cache-control"), Some(&b"no-store"[..]));
        assert!(reply.body.is_empty());
        assert_eq!(redirect(None, "abc").unwrap_err().status, 404);
    }

    #[test]
    fn a_visit_tells_what_was_sent() {
        let link = Link {
            id: 7,
            original_url: "https://e.com/\"".into(),
        };
        let mut visit = Visit {
            id: visit_id(0, &[0; 16]),
            referrer: None,
            user_agent: None,
        };
        let details = |visit: &Visit| visit.details("abc", &link);
        assert_eq!(
            details(&visit),
            r#"{"short_code":"abc","original_url":"https://e.com/\""}"#
        );
        visit.referrer = Some("r".into());
        visit.user_agent = Some("u".into());
        assert!(details(&visit).ends_with(r#","referrer":"r","user_agent":"u"}"#));
    }

    #[test]
    fn visits_have_ids_of_their_own_in_order_of_time() {
        let random = [7; 16];
        assert!(visit_id(1, &random) < visit_id(2, &random));
        assert_ne!(visit_id(1, &random), visit_id(1, &[8; 16]));
    }
}
