//! Responses: a guest's, a failure's, the host's own.

use super::exchange::Exchange;
use super::io::Shared;
use super::untaken::{Piece, Rest, Untaken};
use crate::engine::GuestBody;
use crate::engine::body::BodyError;
use crate::error::{Failure, Kind};
use bytes::{Bytes, BytesMut};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    SET_COOKIE,
};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A body that ends within this many bytes is sent whole, in one write with
/// its length: that took a host from 0.42 to 0.52 of a native server's
/// throughput, against sending the same bytes in chunks as they come.
const WHOLE_BYTES: usize = 8 << 10;

/// How long a small body is waited for before its head is sent without it: four
/// times as long as the head was, within these two. It takes two or three turns of
/// the guest's, and with 500 connections two cores need 10 ms for one: most answers
/// without a length went out in pieces, and cost a quarter more.
const WHOLE_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WHOLE_WAIT: Duration = Duration::from_millis(50);

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A response's body, with the record of its exchange.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    exchange: Exchange,
    /// Where it goes, once that is known.
    connection: Option<Arc<Shared>>,
    /// What it gave last, until there was room for it.
    piece: Option<Piece>,
}

impl ResponseBody {
    fn new(content: Content, exchange: Exchange) -> Self {
        Self {
            content,
            exchange,
            connection: None,
            piece: None,
        }
    }

    fn untaken(&self) -> Option<&Untaken> {
        self.connection.as_ref()?.untaken()
    }

    /// A guest's body has handed out a piece.
    fn handed_out(&mut self) {
        if let (Content::Streamed { rest, .. }, Some(untaken)) = (&self.content, self.untaken()) {
            self.piece = Some(untaken.hand_out(rest.clone()));
        }
    }

    /// hyper has asked for more, or has let go of the body: there was room for what
    /// it had.
    fn taken(&mut self) {
        if let (Some(piece), Some(untaken)) = (self.piece.take(), self.untaken()) {
            untaken.taken(&piece);
        }
    }

    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Streamed { first, rest } => {
                if let Some(bytes) = first.take() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                let polled = match rest.lock().as_mut() {
                    Some(body) => Pin::new(body).poll_frame(cx),
                    None => Poll::Ready(Some(Err(BodyError::Left))),
                };
                // What a client left is no fault of the guest's.
                if let Poll::Ready(Some(Err(error))) = &polled
                    && !matches!(error, BodyError::Left)
                {
                    self.exchange.aborted();
                }
                polled
            }
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.taken();
        if let Some(connection) = &self.connection {
            connection.answered();
        }
    }
}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Streamed { first: Option<Bytes>, rest: Rest },
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.taken();
        let polled = self.poll_content(cx);
        if let Poll::Ready(Some(Ok(_))) = polled {
            self.handed_out();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Streamed { first, rest } => {
                first.is_none() && rest.lock().as_ref().is_some_and(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Content::Streamed { first, rest } => {
                let first = first.as_ref().map_or(0, Bytes::len) as u64;
                let rest = rest
                    .lock()
                    .as_ref()
                    .map(Body::size_hint)
                    .unwrap_or_default();
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower() + first);
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper + first);
                }
                hint
            }
        }
    }
}

/// A guest's response: whole where its body is short and there, else streamed.
///
/// # Errors
///
/// When the body breaks before its head was sent, so that the client can
/// still be told.
pub async fn from_guest(
    response: Response<GuestBody>,
    head_only: bool,
    mut exchange: Exchange,
) -> Result<Response<ResponseBody>, (Failure, Exchange)> {
    let (mut parts, mut body) = response.into_parts();
    let mut first = BytesMut::new();
    let declared = declared(&parts.headers);
    let gathered = if declared == Some(0) {
        // Nothing is to come: no timer, and no other turn of the guest's.
        body.complete();
        Ok(Ok(true))
    } else {
        // A busy core keeps a body waiting as it did the head.
        let patience = exchange.arrived().elapsed() * 4;
        let patience = patience.clamp(WHOLE_WAIT, LONGEST_WHOLE_WAIT);
        tokio::time::timeout(patience, gather(&mut body, &mut first, declared)).await
    };
    let content = match gathered {
        Ok(Ok(true)) => {
            match declared {
                // Only where there is to be a body; 304 and `HEAD` speak of one
                // that would be.
                Some(length) if length != first.len() as u64 => {
                    if may_have_length(parts.status) && !head_only {
                        let detail =
                            format!("a body of {} bytes was said to have {length}", first.len());
                        return Err((Failure::new(Kind::GuestError, detail), exchange));
                    }
                }
                None if may_have_length(parts.status) => {
                    parts.headers.insert(CONTENT_LENGTH, first.len().into());
                }
                Some(_) | None => {}
            }
            Content::Whole((!first.is_empty()).then(|| first.freeze()))
        }
        Ok(Err(error)) => {
            let kind = match &error {
                BodyError::Guest(fate) => fate.kind(),
                BodyError::Idle(_) | BodyError::Total(_) => Kind::Deadline,
                BodyError::Reported(_) => Kind::GuestError,
                // Nothing was sent yet that a client could leave.
                BodyError::Left => Kind::Internal,
            };
            return Err((Failure::new(kind, error.to_string()), exchange));
        }
        Ok(Ok(false)) | Err(_) => Content::Streamed {
            first: (!first.is_empty()).then(|| first.freeze()),
            rest: Arc::new(Mutex::new(Some(body))),
        },
    };
    exchange.answered(parts.status);
    if let Some(told) = exchange.take_told() {
        told.tell(&mut parts.headers);
    }
    let mut response = Response::from_parts(parts, ResponseBody::new(content, exchange));
    identify(&mut response);
    keep_with_revision(&mut response);
    Ok(response)
}

/// Reads up to [`WHOLE_BYTES`]; answers whether that was all: the guest has ended
/// the body, or sent all of the length that it gave it. What was read stays in
/// `bytes` when the wait is given up.
async fn gather(
    body: &mut GuestBody,
    bytes: &mut BytesMut,
    declared: Option<u64>,
) -> Result<bool, BodyError> {
    while bytes.len() <= WHOLE_BYTES {
        if declared.is_some_and(|length| length > 0 && length == bytes.len() as u64) {
            body.complete();
            return Ok(true);
        }
        let Some(frame) = body.frame().await else {
            return Ok(true);
        };
        // Trailers have no place after a body with a length; they are rare,
        // and a body that is short needs none.
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(false)
}

/// The length that the guest gave its body.
fn declared(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn may_have_length(status: StatusCode) -> bool {
    !(status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED)
}

/// What a client is told of a failure.
pub fn from_failure(failure: &Failure, mut exchange: Exchange) -> Response<ResponseBody> {
    let kind = failure.kind;
    let status = status(kind);
    exchange.refused(kind, status);
    let told = exchange.take_told();
    let content = Content::Whole(Some(failure_body(kind)));
    let mut response = Response::new(ResponseBody::new(content, exchange));
    *response.status_mut() = status;
    identify(&mut response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(after) = kind.retry_after() {
        headers.insert(RETRY_AFTER, after.as_secs().into());
    }
    if let Some(told) = told {
        told.tell(headers);
    }
    response
}

/// The response as it goes out on `connection`. To a `HEAD` request it keeps the
/// headers alone: HTTP/1 leaves a body out by itself, h2 would send it.
pub fn on(
    connection: Arc<Shared>,
    head_only: bool,
    mut response: Response<ResponseBody>,
) -> Response<ResponseBody> {
    if head_only {
        let length = response.body().size_hint().exact();
        if let Some(length) = length
            && length > 0
            && !response.headers().contains_key(CONTENT_LENGTH)
        {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response.body_mut().content = Content::Whole(None);
    }
    response.body_mut().connection = Some(connection);
    response
}

/// The host's own text, such as its public metrics.
pub fn text(
    content_type: &'static str,
    text: String,
    exchange: Exchange,
) -> Response<ResponseBody> {
    let content = Content::Whole(Some(text.into()));
    let mut response = Response::new(ResponseBody::new(content, exchange));
    identify(&mut response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Adds the methods that a resource of the host's own does take.
pub fn allowing(
    methods: &'static str,
    mut response: Response<ResponseBody>,
) -> Response<ResponseBody> {
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// A whole HTTP/1.1 response in bytes, for a connection that hyper gave up.
pub fn raw(kind: Kind) -> Vec<u8> {
    let status = status(kind);
    let body = failure_body(kind);
    let mut response = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
    )
    .into_bytes();
    response.extend_from_slice(&body);
    response
}

/// Gives the response the id of its request.
fn identify(response: &mut Response<ResponseBody>) {
    if let Ok(id) = HeaderValue::from_str(response.body().exchange.request_id()) {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
}

/// Sets the cookie by which the client meets the same revision again, unless
/// the guest sets one of that name.
fn keep_with_revision(response: &mut Response<ResponseBody>) {
    let Some((name, value)) = response.body().exchange.cookie() else {
        return;
    };
    let sets = |header: &HeaderValue| {
        let set = header.as_bytes().strip_prefix(name.as_bytes());
        set.is_some_and(|rest| rest.starts_with(b"="))
    };
    if response.headers().get_all(SET_COOKIE).iter().any(sets) {
        return;
    }
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

fn status(kind: Kind) -> StatusCode {
    StatusCode::from_u16(kind.status()).expect("every kind has a valid status")
}

fn failure_body(kind: Kind) -> Bytes {
    serde_json::json!({ "error": kind.client_text(), "kind": kind.label() })
        .to_string()
        .into()
}
