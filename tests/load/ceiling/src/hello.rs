//! A constant: what the hello component answers, byte for byte.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::listener::Work;

#[derive(Clone)]
pub(crate) struct Hello;

impl Work for Hello {
    async fn answer(&self, _: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let mut response = Response::new(Full::new(Bytes::from_static(b"Hello")));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok(response)
    }
}
