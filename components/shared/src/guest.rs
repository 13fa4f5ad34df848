//! HTTP as the host speaks it: a request comes in, a reply goes out.
//!
//! Straight on the interface's own types. A conversion to those of the `http`
//! crate would copy each header and open a body stream even where there is no
//! body, on every request.

use futures::{
    FutureExt,
    future::{self, Either},
    pin_mut,
};
use spin_sdk::{
    wasip3::{
        clocks::{monotonic_clock, system_clock},
        http::types::{self, ErrorCode, Fields, Request, Response, Trailers},
        random::random,
        wit_future, wit_stream,
    },
    wit_bindgen::{self, FutureReader, FutureWriter, StreamReader, StreamResult},
};

use crate::{Answer, Head, Method, Refusal, Reply};

/// Bytes of a body taken from the host at a time.
const CHUNK: usize = 64 * 1024;

/// Makes a component of `async fn(Incoming) -> Answer`.
///
/// The export itself exists for the guest target only: no linker of a native one
/// takes its name. The rest is built everywhere, for tests and lints.
#[macro_export]
macro_rules! service {
    ($handle:path) => {
        /// Serves one request.
        pub async fn serve(
            request: ::spin_sdk::wasip3::http::types::Request,
        ) -> ::core::result::Result<
            ::spin_sdk::wasip3::http::types::Response,
            ::spin_sdk::wasip3::http::types::ErrorCode,
        > {
            $crate::guest::serve(request, $handle).await
        }

        #[cfg(target_arch = "wasm32")]
        mod service {
            use ::spin_sdk::wasip3::{
                exports::http::handler::Guest,
                http::types::{ErrorCode, Request, Response},
            };

            struct Service;

            ::spin_sdk::wasip3::http::service::export!(Service);

            impl Guest for Service {
                async fn handle(request: Request) -> Result<Response, ErrorCode> {
                    super::serve(request).await
                }
            }
        }
    };
}

/// A request whose body has not been touched.
pub struct Incoming {
    pub head: Head,
    request: Request,
}

impl Incoming {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.request.get_headers().get(name).into_iter().next()
    }

    /// The first values of some headers as text; what is not UTF-8 in them is
    /// replaced.
    pub fn header_texts<const N: usize>(&self, names: [&str; N]) -> [Option<String>; N] {
        let headers = self.request.get_headers();
        names.map(|name| {
            let value = headers.get(name).into_iter().next()?;
            let text = String::from_utf8(value);
            Some(text.unwrap_or_else(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()))
        })
    }

    /// The body as it arrives.
    pub fn into_body(self) -> Body {
        let (done, consumed) = wit_future::new(|| Ok(()));
        let (stream, end) = Request::consume_body(self.request, consumed);
        Body {
            stream,
            end: Some(end),
            _done: done,
        }
    }

    /// The whole body. 413 if it has more than `max` bytes.
    pub async fn into_bytes(self, max: usize) -> Result<Vec<u8>, Refusal> {
        let mut body = self.into_body();
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await? {
            if bytes.len() + chunk.len() > max {
                return Err(Refusal::too_large());
            }
            // A small body is one chunk, and needs no copy.
            if bytes.is_empty() {
                bytes = chunk;
            } else {
                bytes.extend_from_slice(&chunk);
            }
        }
        Ok(bytes)
    }
}

/// A request's body as a stream.
pub struct Body {
    stream: StreamReader<u8>,
    end: Option<FutureReader<Result<Option<Trailers>, ErrorCode>>>,
    /// Tells the host, when dropped, that nothing more of the body is wanted.
    _done: FutureWriter<Result<(), ErrorCode>>,
}

impl Body {
    /// The next bytes, none at the end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        if self.end.is_none() {
            return Ok(None);
        }
        let (result, chunk) = self.stream.read(Vec::with_capacity(CHUNK)).await;
        if !chunk.is_empty() || !matches!(result, StreamResult::Dropped) {
            return Ok(Some(chunk));
        }
        // A stream just ends; whether that was the body's end is said here.
        match self.end.take() {
            Some(end) => end.await.map(|_| None).map_err(broken),
            None => Ok(None),
        }
    }
}

fn broken(error: ErrorCode) -> Refusal {
    match error {
        ErrorCode::HttpRequestBodySize(_) => Refusal::too_large(),
        ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionTimeout => Refusal::too_slow(),
        _ => Refusal::invalid("body: did not arrive whole"),
    }
}

/// Serves one request.
pub async fn serve<H, F>(request: Request, handle: H) -> Result<Response, ErrorCode>
where
    H: FnOnce(Incoming) -> F,
    F: Future<Output = Answer>,
{
    let target = request
        .get_path_with_query()
        .unwrap_or_else(|| "/".to_owned());
    let head = Head::new(method(request.get_method()), &target);
    let reply = handle(Incoming { head, request })
        .await
        .unwrap_or_else(Reply::from);
    respond(reply)
}

fn method(method: types::Method) -> Method {
    match method {
        types::Method::Get => Method::Get,
        types::Method::Head => Method::Head,
        types::Method::Post => Method::Post,
        types::Method::Put => Method::Put,
        types::Method::Delete => Method::Delete,
        types::Method::Patch => Method::Other("PATCH".to_owned()),
        types::Method::Options => Method::Other("OPTIONS".to_owned()),
        types::Method::Connect => Method::Other("CONNECT".to_owned()),
        types::Method::Trace => Method::Other("TRACE".to_owned()),
        types::Method::Other(name) => Method::Other(name),
    }
}

fn respond(reply: Reply) -> Result<Response, ErrorCode> {
    let mut headers: Vec<(String, Vec<u8>)> = reply
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    // Where it is known that nothing follows the head, nothing is waited for. That of
    // a 304 would be the length of what is not sent.
    if !matches!(reply.status, 204 | 304) {
        headers.push((
            "content-length".to_owned(),
            reply.body.len().to_string().into_bytes(),
        ));
    }
    let headers = Fields::from_list(&headers)
        .map_err(|error| ErrorCode::InternalError(Some(format!("a header: {error:?}"))))?;

    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let contents = (!reply.body.is_empty()).then(|| {
        let (mut writer, contents) = wit_stream::new();
        wit_bindgen::spawn(async move {
            // What a client that went away leaves unwritten is of no use to anyone.
            let _unwritten: Vec<u8> = writer.write_all(reply.body).await;
            drop(writer);
            drop(trailers);
        });
        contents
    });
    let (response, _sent) = Response::new(headers, contents, no_trailers);
    response.set_status_code(reply.status).map_err(|()| {
        ErrorCode::InternalError(Some(format!("no such status: {}", reply.status)))
    })?;
    Ok(response)
}

/// What `work` comes to, unless it takes longer than so many nanoseconds.
pub async fn in_time<T>(nanoseconds: u64, work: impl Future<Output = T>) -> Option<T> {
    let clock = monotonic_clock::wait_for(nanoseconds).fuse();
    pin_mut!(work, clock);
    match future::select(work, clock).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// Waits for so many nanoseconds.
pub async fn wait(nanoseconds: u64) {
    monotonic_clock::wait_for(nanoseconds).await;
}

/// Random bytes of the system's.
pub fn random_bytes(count: u64) -> Vec<u8> {
    random::get_random_bytes(count)
}

/// Milliseconds since 1970.
pub fn unix_millis() -> u64 {
    let now = system_clock::now();
    u64::try_from(now.seconds).unwrap_or_default() * 1000 + u64::from(now.nanoseconds / 1_000_000)
}
