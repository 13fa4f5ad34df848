//! The events of a rollout, one a line, read as they come.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Cause;
use crate::control::Event;
use crate::error::with_causes;

/// More than the names of a large fleet take.
const LINE_LIMIT: usize = 1024 * 1024;

/// What a node says of a rollout under way.
#[derive(Debug)]
pub(super) struct Events {
    body: Incoming,
    /// What came and is not told yet.
    read: BytesMut,
    /// How long the next event may take.
    silence: Duration,
}

impl Events {
    pub(super) fn new(body: Incoming, silence: Duration) -> Self {
        let read = BytesMut::new();
        Self {
            body,
            read,
            silence,
        }
    }

    /// The next event. An answer that ends here has no end of its own: it broke.
    pub(super) async fn next(&mut self) -> Result<Event, Cause> {
        let silence = self.silence;
        timeout(silence, self.read_event())
            .await
            .unwrap_or(Err(Cause::Silent(silence)))
    }

    async fn read_event(&mut self) -> Result<Event, Cause> {
        // Bytes that hold no line break: they are looked at once.
        let mut seen = 0;
        loop {
            if let Some(end) = self.read[seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(seen + end);
                self.read.advance(1);
                seen = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line).map_err(|error| {
                    Cause::Unexpected(format!("an event that is not understood: {error}"))
                });
            }
            seen = self.read.len();
            if seen > LINE_LIMIT {
                return Err(Cause::Unexpected("an event that is too long".into()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Cause::Broken(with_causes(&error))),
                None => {
                    return Err(Cause::Broken(
                        "the node's answer ended before the rollout's end".into(),
                    ));
                }
            }
        }
    }
}
