//! One node's admin port: requests, and answers up to their first byte.

use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Either, Empty, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Cause;
use crate::cli::client::{client, join};
use crate::cli::upload::Upload;
use crate::control::{EVENTS_TYPE, Refusal, RefusalKind};
use crate::error::with_causes;

/// Once it has begun, a node has something to say every few seconds, or is not
/// well.
const SILENCE: Duration = Duration::from_secs(30);
/// Until a command has begun: it is loaded and probed, stored, and waits for the
/// rollouts before it, a minute and a half at most.
const BEGINNING: Duration = Duration::from_secs(180);
/// Enough for the revisions of any component, and for the status of any fleet.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

type Body = Either<Upload, Empty<Bytes>>;

/// A node, by its admin port.
#[derive(Debug)]
pub(super) struct Node {
    base: Uri,
    /// The value of `authorization`.
    token: Option<http::HeaderValue>,
    /// How long it may say nothing.
    silence: Duration,
    /// How long it may take to begin with a command.
    beginning: Duration,
}

impl Node {
    pub(super) fn new(base: Uri, token: Option<http::HeaderValue>) -> Self {
        let silence = SILENCE;
        Self {
            base,
            token,
            silence,
            beginning: BEGINNING,
        }
    }

    /// The same, with less patience.
    #[cfg(test)]
    pub(super) fn impatient(self, silence: Duration) -> Self {
        Self {
            silence,
            beginning: silence,
            ..self
        }
    }

    /// How long it may say nothing.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// The whole answer to a question.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, Cause> {
        let request = self.request(Method::GET, path, Either::Right(Empty::new()))?;
        let answer = self.send(request, self.silence, || 0).await?;
        self.whole(answer).await
    }

    /// The answer to a command, once the node has begun. `sent` says how many
    /// bytes of an upload are gone: while it grows the node may take its time.
    pub(super) async fn post(
        &self,
        path: &str,
        upload: Option<Upload>,
        sent: impl Fn() -> u64,
    ) -> Result<Response<Incoming>, Cause> {
        let body = upload.map_or(Either::Right(Empty::new()), Either::Left);
        let mut request = self.request(Method::POST, path, body)?;
        let accept = header::HeaderValue::from_static(EVENTS_TYPE);
        request.headers_mut().insert(header::ACCEPT, accept);
        self.send(request, self.beginning, sent).await
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Body>, Cause> {
        let uri = join(&self.base, path).map_err(Cause::Usage)?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Either::Left(upload) = &body {
            request = request.header(header::CONTENT_TYPE, upload.content_type());
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        request
            .body(body)
            .map_err(|error| Cause::Usage(error.to_string()))
    }

    async fn send(
        &self,
        request: Request<Body>,
        patience: Duration,
        sent: impl Fn() -> u64,
    ) -> Result<Response<Incoming>, Cause> {
        let client = client();
        let mut answer = pin!(client.request(request));
        let mut before = sent();
        let answer = loop {
            match timeout(patience, &mut answer).await {
                Ok(answer) => break answer,
                Err(_) if sent() > before => before = sent(),
                Err(_) => return Err(Cause::Silent(patience)),
            }
        };
        let answer = answer.map_err(|error| {
            // The client's own words say no more than where its cause came up.
            let reason = error
                .source()
                .map_or_else(|| error.to_string(), with_causes);
            if error.is_connect() {
                Cause::Unreachable(format!("no node at {}: {reason}", self.base))
            } else {
                Cause::Broken(reason)
            }
        })?;
        if answer.status() == StatusCode::OK {
            return Ok(answer);
        }
        Err(self.refusal(answer).await)
    }

    async fn refusal(&self, answer: Response<Incoming>) -> Cause {
        let status = answer.status();
        let said = match self.whole(answer).await {
            Ok(said) => said,
            Err(cause) => return cause,
        };
        match serde_json::from_slice::<Refusal>(&said) {
            Ok(mut refusal) => {
                let unknown = matches!(
                    refusal.kind,
                    RefusalKind::Unauthorized | RefusalKind::Forbidden
                );
                if unknown && self.token.is_none() {
                    refusal
                        .error
                        .push_str(" (no token was sent: WARMLINK_ADMIN_TOKEN or --token-file)");
                }
                Cause::Refused(refusal)
            }
            // What stands before a node says so, for one.
            Err(_) if matches!(status.as_u16(), 502 | 503) => {
                Cause::Unreachable(format!("the node is not ready: {status}"))
            }
            Err(_) => Cause::Unexpected(format!(
                "{status}, which is no answer of a node's admin port: is --url right?"
            )),
        }
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<Bytes, Cause> {
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect();
        let body = timeout(self.silence, body)
            .await
            .map_err(|_| Cause::Silent(self.silence))?;
        body.map(|body| body.to_bytes())
            .map_err(|error| Cause::Broken(with_causes(&*error)))
    }
}
