//! The HTTP side of a probe on WASI 0.2: reads a request, answers JSON or a
//! stream.

use std::io::{Read as _, Write as _};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
pub use wasip2;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// A request, its body already read.
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    out: ResponseOutparam,
}

impl Exchange {
    pub fn new(request: &IncomingRequest, out: ResponseOutparam) -> Self {
        let path_with_query = request.path_with_query().unwrap_or_default();
        let (path, query) = path_with_query
            .split_once('?')
            .unwrap_or((&path_with_query, ""));
        let headers = request
            .headers()
            .entries()
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
            .collect();
        let body = request
            .consume()
            .map(|body| read_body(&body))
            .unwrap_or_default();
        Self {
            method: method_name(&request.method()),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body,
            out,
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

    /// Runs a script: each step's outcome is an element of the answer.
    pub fn run<Step: DeserializeOwned>(self, mut step: impl FnMut(Step) -> Value) {
        match serde_json::from_slice::<Vec<Step>>(&self.body) {
            Ok(script) => {
                let outcomes = script.into_iter().map(&mut step).collect();
                self.answer(200, &Value::Array(outcomes));
            }
            Err(error) => {
                self.answer(400, &json!({ "error": format!("the script: {error}") }));
            }
        }
    }

    pub fn answer(self, status: u16, value: &Value) {
        let (body, mut writer) = self.begin(status);
        writer
            .write_all(value.to_string().as_bytes())
            .expect("the client still listens");
        drop(writer);
        OutgoingBody::finish(body, None).expect("the whole body was written");
    }

    /// Sends the head; the body ends when it is finished.
    pub fn begin(self, status: u16) -> (OutgoingBody, OutputStream) {
        let fields = Fields::new();
        fields
            .append("content-type", b"application/json")
            .expect("a header that may be set");
        let response = OutgoingResponse::new(fields);
        response.set_status_code(status).expect("a status");
        let body = response.body().expect("taken once");
        ResponseOutparam::set(self.out, Ok(response));
        let writer = body.write().expect("taken once");
        (body, writer)
    }
}

/// `{"ok": …}` or `{"err": …}`.
pub fn outcome<T: Serialize, E: Serialize>(result: Result<T, E>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "err": error }),
    }
}

/// Reads a body to its end, or to where it breaks.
pub fn read_body(body: &IncomingBody) -> Vec<u8> {
    let mut stream: InputStream = body.stream().expect("taken once");
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => all,
        Err(error) => {
            let closed = error
                .get_ref()
                .and_then(|error| error.downcast_ref::<StreamError>())
                .is_some_and(|error| matches!(error, StreamError::Closed));
            if closed {
                all
            } else {
                b"<the body broke>".to_vec()
            }
        }
    }
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
