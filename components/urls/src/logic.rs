//! What the urls' requests mean.

use serde::Serialize;
use shared::{
    Head, Method, Refusal, Reply,
    fields::Fields,
    model::Url,
    paging::Page,
    query::Query,
    request, rules,
    sql::{self, List, UrlFilter},
    time::Timestamp,
};
use spin_sdk::pg::ParameterValue;

/// A request understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    List(Page, Filter),
    Read(i64),
    Create,
    Change(i64),
    Delete(i64),
}

/// Which urls to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    user_id: Option<i64>,
    is_active: Option<bool>,
}

impl Filter {
    fn parse(query: Query<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            user_id: query.positive("user_id")?,
            is_active: query.flag("is_active")?,
        })
    }

    pub(crate) fn list(self) -> List {
        sql::urls(UrlFilter {
            user_id: self.user_id.is_some(),
            is_active: self.is_active.is_some(),
        })
    }

    pub(crate) fn parameters(self) -> Vec<ParameterValue> {
        let user_id = self.user_id.map(ParameterValue::from);
        user_id
            .into_iter()
            .chain(self.is_active.map(ParameterValue::from))
            .collect()
    }
}

/// Finds out what a request asks for.
pub(crate) fn route(head: &Head) -> Result<Route, Refusal> {
    let segments = head.segments().ok_or_else(|| head.no_route())?;
    match segments.as_slice() {
        [_] => match head.method {
            Method::Get | Method::Head => {
                let query = Query::new(head.query.as_deref());
                Ok(Route::List(Page::parse(query)?, Filter::parse(query)?))
            }
            Method::Post => Ok(Route::Create),
            _ => Err(head.wrong_method("GET, HEAD, POST")),
        },
        [_, id] => {
            let id = request::path_id(id).ok_or_else(|| head.no_route())?;
            match head.method {
                Method::Get | Method::Head => Ok(Route::Read(id)),
                Method::Put => Ok(Route::Change(id)),
                Method::Delete => Ok(Route::Delete(id)),
                _ => Err(head.wrong_method("GET, HEAD, PUT, DELETE")),
            }
        }
        _ => Err(head.no_route()),
    }
}

/// A url to be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewUrl {
    pub(crate) user_id: Option<i64>,
    pub(crate) short_code: Option<String>,
    original_url: String,
    title: Option<String>,
}

pub(crate) fn new_url(fields: &Fields<'_>) -> Result<NewUrl, Refusal> {
    let short_code = fields.nullable_string("short_code")?;
    Ok(NewUrl {
        original_url: original_url(fields.required_string("original_url")?)?,
        user_id: fields.nullable_id("user_id")?,
        title: fields.nullable_string("title")?.map(title).transpose()?,
        short_code: short_code
            .map(|code| rules::checked("short_code", code, rules::short_code))
            .transpose()?,
    })
}

impl NewUrl {
    /// The parameters of [`sql::CREATE_URL`].
    pub(crate) fn parameters(&self, short_code: &str) -> Vec<ParameterValue> {
        #[derive(Serialize)]
        struct Created<'a> {
            short_code: &'a str,
            original_url: &'a str,
        }
        let details = serde_json::to_string(&Created {
            short_code,
            original_url: &self.original_url,
        })
        .expect("two strings are always JSON");
        vec![
            short_code.to_owned().into(),
            self.user_id.into(),
            self.original_url.clone().into(),
            self.title.clone().into(),
            details.into(),
        ]
    }

    /// The url it became.
    pub(crate) fn into_url(self, id: i64, short_code: String, created_at: Timestamp) -> Url {
        Url {
            id,
            user_id: self.user_id,
            short_code,
            original_url: self.original_url,
            title: self.title,
            is_active: true,
            created_at,
            updated_at: created_at,
        }
    }
}

/// What a url's change names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Some(None) takes the title away.
    title: Option<Option<String>>,
    is_active: Option<bool>,
    original_url: Option<String>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.title.is_none() && self.is_active.is_none() && self.original_url.is_none()
    }

    /// The parameters of [`sql::CHANGE_URL`] between the id and the cache.
    pub(crate) fn parameters(self) -> [ParameterValue; 4] {
        [
            self.title.is_some().into(),
            self.title.flatten().into(),
            self.is_active.into(),
            self.original_url.into(),
        ]
    }
}

pub(crate) fn change(fields: &Fields<'_>) -> Result<Change, Refusal> {
    let new_title = fields.nullable_string("title")?.map(title).transpose()?;
    Ok(Change {
        title: fields.names("title").then_some(new_title),
        is_active: fields.flag("is_active")?,
        original_url: fields
            .string("original_url")?
            .map(original_url)
            .transpose()?,
    })
}

fn original_url(value: String) -> Result<String, Refusal> {
    rules::checked("original_url", value, rules::original_url)
}

fn title(value: String) -> Result<String, Refusal> {
    rules::checked("title", value, rules::title)
}

/// A page of urls as an answer.
pub(crate) fn list(page: Page, found: Vec<Url>, query: Option<&str>) -> Reply {
    let (urls, neighbours) = page.cut(found, |url| url.id);
    let reply = Reply::json(200, &urls);
    match neighbours.link("/urls", query) {
        Some(link) => reply.with("link", link),
        None => reply,
    }
}

pub(crate) fn unknown(id: i64) -> Refusal {
    Refusal::missing(format!("no url has the id {id}"))
}

pub(crate) fn unknown_owner(user_id: Option<i64>) -> Refusal {
    let id = user_id.unwrap_or_default();
    Refusal::missing(format!("user_id: no user has the id {id}"))
}

#[cfg(test)]
#[path = "logic_tests.rs"]
mod tests;
