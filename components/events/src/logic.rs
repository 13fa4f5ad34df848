//! What the events' requests mean.

use serde_json::value::RawValue;
use shared::{
    Head, Method, Refusal, Reply,
    fields::Fields,
    model::{Event, FromRow},
    paging::Page,
    query::Query,
    row::{Columns, Malformed},
    rules,
    sql::{self, EventFilter, List},
    time::Timestamp,
};
use spin_sdk::pg::ParameterValue;

/// A request understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    List(Page, Filter),
    Record,
}

/// Which events to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    url_id: Option<i64>,
    user_id: Option<i64>,
    event_type: Option<String>,
}

impl Filter {
    fn parse(query: Query<'_>) -> Result<Self, Refusal> {
        let event_type = query.text("event_type")?;
        if event_type
            .as_ref()
            .is_some_and(|value| value.trim().is_empty())
        {
            return Err(Refusal::field("event_type", "must not be blank"));
        }
        Ok(Self {
            url_id: query.positive("url_id")?,
            user_id: query.positive("user_id")?,
            event_type: event_type.map(|value| value.into_owned()),
        })
    }

    pub(crate) fn list(&self) -> List {
        sql::events(EventFilter {
            url_id: self.url_id.is_some(),
            user_id: self.user_id.is_some(),
            event_type: self.event_type.is_some(),
        })
    }

    pub(crate) fn into_parameters(self) -> Vec<ParameterValue> {
        let ids = [self.url_id, self.user_id]
            .into_iter()
            .flatten()
            .map(ParameterValue::from);
        ids.chain(self.event_type.map(ParameterValue::from))
            .collect()
    }
}

/// Finds out what a request asks for.
pub(crate) fn route(head: &Head) -> Result<Route, Refusal> {
    match (
        head.segments().ok_or_else(|| head.no_route())?.as_slice(),
        &head.method,
    ) {
        ([_], Method::Get | Method::Head) => {
            let query = Query::new(head.query.as_deref());
            Ok(Route::List(Page::parse(query)?, Filter::parse(query)?))
        }
        ([_], Method::Post) => Ok(Route::Record),
        ([_], _) => Err(head.wrong_method("GET, HEAD, POST")),
        _ => Err(head.no_route()),
    }
}

/// An event to be recorded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewEvent {
    url_id: i64,
    user_id: Option<i64>,
    event_type: String,
    details: String,
}

pub(crate) fn new_event(fields: &Fields<'_>) -> Result<NewEvent, Refusal> {
    Ok(NewEvent {
        event_type: rules::checked(
            "event_type",
            fields.required_string("event_type")?,
            rules::event_type,
        )?,
        url_id: fields.required_id("url_id")?,
        user_id: fields.nullable_id("user_id")?,
        details: fields
            .nullable_object("details")?
            .unwrap_or_else(|| "{}".to_owned()),
    })
}

impl NewEvent {
    /// The parameters of [`sql::RECORD_EVENT`].
    pub(crate) fn parameters(&self) -> Vec<ParameterValue> {
        vec![
            self.url_id.into(),
            self.user_id.into(),
            self.event_type.clone().into(),
            self.details.clone().into(),
        ]
    }

    /// The event it became; 404 if its url or its user is unknown.
    pub(crate) fn into_event(self, made: Made) -> Result<Event, Refusal> {
        let (id, timestamp) = match made {
            Made::Event { id, timestamp } => (id, timestamp),
            Made::UnknownUrl => {
                return Err(Refusal::missing(format!(
                    "url_id: no url has the id {}",
                    self.url_id
                )));
            }
            Made::UnknownUser => {
                let id = self.user_id.unwrap_or_default();
                return Err(Refusal::missing(format!(
                    "user_id: no user has the id {id}"
                )));
            }
        };
        Ok(Event {
            id,
            url_id: self.url_id,
            user_id: self.user_id,
            event_type: self.event_type,
            timestamp,
            details: RawValue::from_string(self.details).map_err(|_| Refusal::fault())?,
        })
    }
}

/// What [`sql::RECORD_EVENT`] answers.
#[derive(Debug)]
pub(crate) enum Made {
    Event { id: i64, timestamp: Timestamp },
    UnknownUrl,
    UnknownUser,
}

impl FromRow for Made {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        let (url_known, user_known) = (row.flag()?, row.flag()?);
        match (url_known, user_known) {
            (false, _) => Ok(Self::UnknownUrl),
            (true, false) => Ok(Self::UnknownUser),
            (true, true) => Ok(Self::Event {
                id: row.int()?,
                timestamp: row.time()?,
            }),
        }
    }
}

/// A page of events as an answer.
pub(crate) fn list(page: Page, found: Vec<Event>, query: Option<&str>) -> Reply {
    let (events, neighbours) = page.cut(found, |event| event.id);
    let reply = Reply::json(200, &events);
    match neighbours.link("/events", query) {
        Some(link) => reply.with("link", link),
        None => reply,
    }
}

#[cfg(test)]
#[path = "logic_tests.rs"]
mod tests;
