//! Commands: `/v1/...`, as `control` describes them.

use super::{Admin, Answer, Body, auth, json, upload};
use crate::control::{EVENTS_TYPE, Event, Refusal, RefusalKind};
use crate::live::Rollouts;
use crate::live::endpoint::WHOLE;
use crate::live::rollout::{Action, Deploy, Request as Command};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use serde::Serialize;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Longest note, in bytes.
const NOTE: usize = 1000;

/// Answers a command.
pub(super) async fn answer(admin: &Admin, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let (parts, mut body) = request.into_parts();
    let path: Vec<_> = parts.uri.path().split('/').skip(2).collect();
    let get = parts.method == Method::GET || parts.method == Method::HEAD;
    let route = match path.as_slice() {
        ["status"] => Route::Status,
        ["components", component, verb] => match *verb {
            "revisions" => Route::Revisions(component),
            "deploy" => Route::Deploy(component),
            "promote" => Route::Promote(component),
            "rollback" => Route::Rollback(component),
            _ => return refuse(&Refusal::new(RefusalKind::NotFound, "not found")),
        },
        _ => return refuse(&Refusal::new(RefusalKind::NotFound, "not found")),
    };
    let reads = matches!(route, Route::Status | Route::Revisions(_));
    if reads && !get || !reads && parts.method != Method::POST {
        return method_not_allowed(if reads { "GET, HEAD" } else { "POST" });
    }
    let query = parts.uri.query().unwrap_or_default();
    let done = respond(admin, peer, &parts.headers, route, query, &mut body).await;
    match done {
        Ok(answer) => answer,
        Err(refusal) => {
            let known = !matches!(
                refusal.kind,
                RefusalKind::Unauthorized | RefusalKind::Forbidden
            );
            upload::discard(&mut body, known).await;
            refuse(&refusal)
        }
    }
}

enum Route<'p> {
    Status,
    Revisions(&'p str),
    Deploy(&'p str),
    Promote(&'p str),
    Rollback(&'p str),
}

async fn respond(
    admin: &Admin,
    peer: SocketAddr,
    headers: &HeaderMap,
    route: Route<'_>,
    query: &str,
    body: &mut Incoming,
) -> Result<Answer, Refusal> {
    let arrived = Instant::now();
    auth::check(admin.key.as_ref(), peer, headers)?;
    let rollouts = admin
        .rollouts
        .get()
        .ok_or_else(|| Refusal::new(RefusalKind::Unavailable, "the node is not ready yet"))?;
    let parameters = Parameters::read(query, &route)?;
    // Given back when the command has begun, or was refused.
    let _place = match route {
        Route::Deploy(_) => admin.deploys.acquire().await.ok(),
        Route::Status | Route::Revisions(_) | Route::Promote(_) | Route::Rollback(_) => None,
    };
    let (component, action) = match route {
        Route::Status => return Ok(value(&rollouts.status().await?)),
        Route::Revisions(component) => return Ok(value(&rollouts.revisions(component).await?)),
        Route::Deploy(component) => {
            rollouts.known(component)?;
            let bytes = upload::read(
                body,
                rollouts.component_size(),
                parameters.digest.as_deref(),
            )
            .await?;
            let deploy = Deploy {
                bytes,
                canary: parameters.canary,
                note: parameters.note,
            };
            (component, Action::Deploy(deploy))
        }
        Route::Promote(component) => (component, Action::Promote),
        Route::Rollback(component) => (component, Action::Rollback(parameters.revision)),
    };
    let command = Command {
        component: component.to_owned(),
        arrived,
        force: parameters.force,
        wait: parameters.wait,
        action,
    };
    begin(rollouts, command).await
}

async fn begin(rollouts: &Rollouts, command: Command) -> Result<Answer, Refusal> {
    let events = rollouts.begin(command).await?;
    let mut response = Response::new(stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Events as lines, as they happen.
fn stream(events: mpsc::Receiver<Event>) -> Body {
    let frames = futures::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), events))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// What a query may say.
#[derive(Debug, Default)]
struct Parameters {
    digest: Option<String>,
    canary: Option<u32>,
    note: Option<String>,
    revision: Option<String>,
    force: bool,
    wait: bool,
}

impl Parameters {
    fn read(query: &str, route: &Route<'_>) -> Result<Self, Refusal> {
        let bad = |text: String| Refusal::new(RefusalKind::BadRequest, text);
        let deploy = matches!(route, Route::Deploy(_));
        let rollback = matches!(route, Route::Rollback(_));
        let reads = matches!(route, Route::Status | Route::Revisions(_));
        let mut parameters = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "digest" if deploy => {
                    let hex = value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
                    if !hex {
                        return Err(bad("digest: write a SHA-256 in hexadecimal".to_owned()));
                    }
                    parameters.digest = Some(value.into_owned());
                }
                "canary" if deploy => parameters.canary = Some(share(&value).map_err(bad)?),
                "note" if deploy => {
                    if value.len() > NOTE {
                        return Err(bad(format!("note: longer than {NOTE} bytes")));
                    }
                    parameters.note = Some(value.into_owned()).filter(|note| !note.is_empty());
                }
                "revision" if rollback => parameters.revision = Some(value.into_owned()),
                "force" if !reads => parameters.force = flag("force", &value).map_err(bad)?,
                "wait" if !reads => parameters.wait = flag("wait", &value).map_err(bad)?,
                other => return Err(bad(format!("{other:?} is no parameter of this command"))),
            }
        }
        Ok(parameters)
    }
}

/// A canary's share, given in percent, in hundredths of a percent.
fn share(text: &str) -> Result<u32, String> {
    let share = text.parse::<f64>().ok().map(|percent| percent * 100.0);
    share
        .filter(|share| (0.5..f64::from(WHOLE) - 0.5).contains(share))
        .map(|share| share.round() as u32)
        .ok_or_else(|| {
            format!(
                "canary: {text:?} is not a share: write percents, more than 0 and less than 100"
            )
        })
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("{name}: write true or false, not {other:?}")),
    }
}

fn value(value: &impl Serialize) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => json(StatusCode::OK, &value),
        Err(error) => refuse(&Refusal::new(RefusalKind::Internal, error.to_string())),
    }
}

fn refuse(refusal: &Refusal) -> Answer {
    let status = StatusCode::from_u16(refusal.kind.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_value(refusal).unwrap_or_default();
    let mut response = json(status, &body);
    if refusal.kind == RefusalKind::Unauthorized {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

fn method_not_allowed(methods: &'static str) -> Answer {
    let body = serde_json::json!({ "error": "method not allowed" });
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &body);
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(ALLOW, methods);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percents() {
        assert_eq!(share("10"), Ok(1000));
        assert_eq!(share("0.25"), Ok(25));
        for text in ["0", "100", "-1", "ten", "NaN", "inf", "", "0.001"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_parameter_that_means_nothing_is_an_error() {
        let read = |query, route| Parameters::read(query, &route).map_err(|it| it.error);
        assert!(read("force=true&wait=false", Route::Promote("a")).is_ok());
        assert!(
            read("canary=5", Route::Promote("a"))
                .unwrap_err()
                .contains("canary")
        );
        assert!(
            read("wait=1", Route::Promote("a"))
                .unwrap_err()
                .contains("wait")
        );
        assert!(read("wait=true", Route::Status).is_err());
        assert!(
            read("digest=ab", Route::Deploy("a"))
                .unwrap_err()
                .contains("digest")
        );
    }
}
