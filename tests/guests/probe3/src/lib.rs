//! The HTTP side of a probe on WASI 0.3: reads a request, answers JSON or a
//! stream.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
pub use wasip3;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::wit_bindgen::StreamReader;
pub use wasip3::wit_bindgen::{StreamWriter, spawn};
use wasip3::{wit_future, wit_stream};

/// What a handler gives back.
pub type Answer = Result<Response, ErrorCode>;

/// A request, with its body not yet read.
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// In the order and the case in which they came.
    pub headers: Vec<(String, String)>,
    pub path_with_query: String,
    body: StreamReader<u8>,
}

impl Exchange {
    pub fn new(request: Request) -> Self {
        let path_with_query = request.get_path_with_query().unwrap_or_default();
        let (path, query) = path_with_query
            .split_once('?')
            .unwrap_or((&path_with_query, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let headers = request
            .get_headers()
            .copy_all()
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
            .collect();
        let method = method_name(&request.get_method());
        let path = path.to_owned();
        let (_, done) = wit_future::new(|| Ok(()));
        let (body, _trailers) = Request::consume_body(request, done);
        Self {
            method,
            path,
            query,
            headers,
            path_with_query,
            body,
        }
    }

    /// The first segment of what the route's wildcard took of the path, or of the
    /// whole path where the route has none.
    pub fn behaviour(&self) -> String {
        let taken = self
            .headers
            .iter()
            .find(|(name, value)| name == "spin-path-info" && !value.is_empty());
        let path = taken.map_or(&self.path, |(_, value)| value);
        path.split('/').nth(1).unwrap_or_default().to_owned()
    }

    /// A whole number from the query, or `default` where the name is absent.
    pub fn number(&self, name: &str, default: u64) -> u64 {
        match self.query.get(name) {
            Some(text) => text.parse().expect("the query's value is a whole number"),
            None => default,
        }
    }

    /// The next piece of the body; none at its end.
    pub async fn read(&mut self, at_most: usize) -> Option<Vec<u8>> {
        loop {
            let (status, bytes) = self.body.read(Vec::with_capacity(at_most)).await;
            if !bytes.is_empty() {
                return Some(bytes);
            }
            if !matches!(status, wasip3::wit_bindgen::StreamResult::Complete(_)) {
                return None;
            }
        }
    }

    pub async fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(mut bytes) = self.read(16 * 1024).await {
            all.append(&mut bytes);
        }
        all
    }

    /// The body as a list of steps.
    ///
    /// # Errors
    /// The response that says what is wrong with it.
    pub async fn script<Step: DeserializeOwned>(&mut self) -> Result<Vec<Step>, Answer> {
        let body = self.read_all().await;
        serde_json::from_slice(&body)
            .map_err(|error| json_answer(400, &json!({ "error": format!("the script: {error}") })))
    }
}

/// `{"ok": …}` or `{"err": …}`.
pub fn outcome<T: Serialize, E: Serialize>(result: Result<T, E>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "err": error }),
    }
}

pub fn json_answer(status: u16, value: &Value) -> Answer {
    let headers = [("content-type".to_owned(), b"application/json".to_vec())];
    bytes_answer(status, &headers, value.to_string().into_bytes())
}

pub fn bytes_answer(status: u16, headers: &[(String, Vec<u8>)], body: Vec<u8>) -> Answer {
    let (response, mut writer) = stream_answer(status, headers)?;
    spawn(async move {
        writer.write_all(body).await;
    });
    Ok(response)
}

/// A response whose body ends when the writer is dropped.
///
/// # Errors
/// Where a header is not one.
pub fn stream_answer(
    status: u16,
    headers: &[(String, Vec<u8>)],
) -> Result<(Response, StreamWriter<u8>), ErrorCode> {
    let fields = Fields::from_list(headers)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (writer, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(fields, Some(contents), trailers);
    response
        .set_status_code(status)
        .map_err(|()| ErrorCode::InternalError(Some("not a status".to_owned())))?;
    Ok((response, writer))
}

/// Lets the given time pass without using the processor.
pub async fn wait(milliseconds: u64) {
    wasip3::clocks::monotonic_clock::wait_for(milliseconds.saturating_mul(1_000_000)).await;
}

fn method_name(method: &Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => other,
    };
    name.to_owned()
}
