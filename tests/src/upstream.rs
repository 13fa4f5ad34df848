//! A server that components send requests to.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::answering::answering;

/// Answers 418 with what it was asked, or never (`/never`).
pub struct Upstream {
    port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    accepted: Mutex<usize>,
    headers: Mutex<Vec<HeaderMap>>,
}

impl Upstream {
    /// On a free port of the loopback.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn start() -> Self {
        let seen = Arc::<Seen>::default();
        let (counts, sees) = (Arc::clone(&seen), Arc::clone(&seen));
        let accepted = move || *locked(&counts.accepted) += 1;
        let port = answering(accepted, move |request| answer(Arc::clone(&sees), request)).await;
        Self { port, seen }
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        *locked(&self.seen.accepted)
    }

    /// What the requests said, in the order they came.
    pub fn headers(&self) -> Vec<HeaderMap> {
        locked(&self.seen.headers).clone()
    }
}

async fn answer(seen: Arc<Seen>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    locked(&seen.headers).push(head.headers);
    if head.uri.path() == "/never" {
        std::future::pending::<()>().await;
    }
    let body = body.collect().await.expect("a whole body").to_bytes();
    let text = format!(
        "{} {} {}",
        head.method,
        head.uri,
        String::from_utf8_lossy(&body)
    );
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
    response
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
