//! Commands over the admin port, as any HTTP client would give them.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::{Api, Host, Reply};

/// A client of one node's commands.
#[derive(Clone)]
pub struct Control {
    api: Api,
    token: Option<String>,
}

/// What a command that was begun came to.
#[derive(Debug)]
pub struct Ended {
    /// Every event, in order.
    pub events: Vec<Value>,
}

impl Control {
    /// Commands to `host`, which has no token.
    pub fn of(host: &Host) -> Self {
        Self::at(host.admin(), None)
    }

    /// Commands to the admin port at `address`.
    pub fn at(address: SocketAddr, token: Option<&str>) -> Self {
        Self {
            api: Api::new(address),
            token: token.map(str::to_owned),
        }
    }

    /// Deploys, and answers whatever the node does. `query` begins after the `?`.
    pub async fn try_deploy(&self, component: &str, bytes: Vec<u8>, query: &str) -> Reply {
        let path = format!("/v1/components/{component}/deploy?{query}");
        self.send(Method::POST, &path, bytes.into()).await
    }

    /// Deploys for all requests, and answers the outcome.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn deploy(&self, component: &str, bytes: Vec<u8>) -> Value {
        Ended::of(self.try_deploy(component, bytes, "").await).done()
    }

    /// `promote` or `rollback`, with a query that begins after the `?`.
    pub async fn command(&self, component: &str, verb: &str, query: &str) -> Reply {
        let path = format!("/v1/components/{component}/{verb}?{query}");
        self.send(Method::POST, &path, Bytes::new()).await
    }

    /// # Panics
    /// Where the node does not answer it.
    pub async fn status(&self) -> Value {
        let reply = self.send(Method::GET, "/v1/status", Bytes::new()).await;
        reply.expect(200).value()
    }

    /// The status of one component.
    ///
    /// # Panics
    /// Where there is none of this name.
    pub async fn component(&self, name: &str) -> Value {
        let status = self.status().await;
        let components = status["components"].as_array().expect("a list");
        let found = components.iter().find(|it| it["name"] == name);
        found
            .unwrap_or_else(|| panic!("no component {name}: {status}"))
            .clone()
    }

    /// # Panics
    /// Where the node does not answer them.
    pub async fn revisions(&self, component: &str) -> Vec<Value> {
        let path = format!("/v1/components/{component}/revisions");
        let reply = self.send(Method::GET, &path, Bytes::new()).await;
        let value = reply.expect(200).value();
        value["revisions"].as_array().expect("a list").clone()
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Reply {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<(HeaderName, &str)> = bearer
            .as_deref()
            .map(|bearer| (AUTHORIZATION, bearer))
            .into_iter()
            .collect();
        self.api.send(method, path, &headers, body).await
    }
}

impl Ended {
    /// Reads the events of a command that was begun.
    ///
    /// # Panics
    /// Where it was refused before.
    #[track_caller]
    pub fn of(reply: Reply) -> Self {
        let text = reply.expect(200).text();
        let events = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("an event a line"))
            .collect();
        Self { events }
    }

    /// The last event.
    ///
    /// # Panics
    /// Where there is none.
    pub fn last(&self) -> &Value {
        self.events.last().expect("a command has an end")
    }

    /// The outcome.
    ///
    /// # Panics
    /// Where it was not carried out.
    #[track_caller]
    pub fn done(self) -> Value {
        let last = self.last();
        assert_eq!(last["event"], "done", "{last}");
        last.clone()
    }

    /// What was wrong.
    ///
    /// # Panics
    /// Where nothing was.
    #[track_caller]
    pub fn failed(self) -> Value {
        let last = self.last();
        assert_eq!(last["event"], "failed", "{last}");
        last.clone()
    }
}

/// The name that a response of `guest-revision` gives, in its head and in every
/// line of its body.
///
/// # Errors
/// Where it is of more than one revision, or not of so many lines.
pub fn name(headers: &HeaderMap, body: &[u8], lines: usize) -> anyhow::Result<String> {
    let named = headers.get("x-name").and_then(|value| value.to_str().ok());
    let name = named.ok_or_else(|| anyhow::anyhow!("no name in {headers:?}"))?;
    let text = String::from_utf8_lossy(body);
    anyhow::ensure!(
        text.lines().all(|line| line == name),
        "a response of {name} says {text:?}"
    );
    let found = text.lines().count();
    anyhow::ensure!(found == lines, "{found} of {lines} lines of {name}");
    Ok(name.to_owned())
}
