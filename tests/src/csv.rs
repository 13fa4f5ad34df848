//! CSV files, and how they are uploaded.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};

use crate::{Api, Reply};

const BOUNDARY: &str = "----warmlink-tests-7f3a9c";

/// A multipart body with one part.
pub fn multipart(part: &str, file: &str, content: &[u8]) -> (String, Bytes) {
    let (kind, head, tail) = frame(part, file);
    let body = [head.as_bytes(), content, tail.as_bytes()].concat();
    (kind, body.into())
}

/// What stands before and after the content of the one part, and the body's type.
fn frame(part: &str, file: &str) -> (String, String, String) {
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{part}\"; filename=\"{file}\"\r\n\
         content-type: text/csv\r\n\r\n"
    );
    (
        format!("multipart/form-data; boundary={BOUNDARY}"),
        head,
        format!("\r\n--{BOUNDARY}--\r\n"),
    )
}

/// Uploads a file as the part `file`.
pub async fn upload(api: &Api, path: &str, content: impl AsRef<[u8]>) -> Reply {
    let (kind, body) = multipart("file", "data.csv", content.as_ref());
    api.send(Method::POST, path, &[(CONTENT_TYPE, &kind)], body)
        .await
}

/// Uploads a file as the part `file`, each piece made when it is sent: the file
/// is never in memory as a whole.
///
/// # Errors
/// Where the connection or the transfer broke, or took too long.
pub async fn upload_pieces(
    api: &Api,
    path: &str,
    pieces: impl Iterator<Item = Bytes> + Send + Sync + Unpin + 'static,
) -> anyhow::Result<Reply> {
    let (kind, head, tail) = frame("file", "data.csv");
    let pieces = std::iter::once(head.into())
        .chain(pieces)
        .chain(std::iter::once(tail.into()));
    let body = Pieces(pieces).map_err(|never| match never {}).boxed();
    api.try_send(Method::POST, path, &[(CONTENT_TYPE, &kind)], body)
        .await
}

/// A body of unknown length.
struct Pieces<I>(I);

impl<I: Iterator<Item = Bytes> + Unpin> Body for Pieces<I> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

/// A field, quoted where it must be.
pub fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
