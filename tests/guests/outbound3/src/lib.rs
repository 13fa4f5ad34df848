//! Calls `wasi:http/client@0.3` as a script says.

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::client;
use guest_probe3::wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use guest_probe3::wasip3::{self, wit_future, wit_stream};
use guest_probe3::{Exchange, json_answer, spawn};
use serde::Deserialize;
use serde_json::{Value, json};

struct Component;

wasip3::http::service::export!(Component);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Fetch {
        scheme: String,
        authority: String,
        path: String,
        /// Sent with POST where there is one.
        body: Option<String>,
    },
}

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let mut exchange = Exchange::new(request);
        let script = match exchange.script::<Step>().await {
            Ok(script) => script,
            Err(answer) => return answer,
        };
        let mut outcomes = Vec::new();
        for step in script {
            outcomes.push(match fetch(step).await {
                Ok(value) => json!({ "ok": value }),
                Err(error) => json!({ "err": format!("{error:?}") }),
            });
        }
        json_answer(200, &Value::Array(outcomes))
    }
}

async fn fetch(step: Step) -> Result<Value, ErrorCode> {
    let Step::Fetch {
        scheme,
        authority,
        path,
        body,
    } = step;
    let scheme = match scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => Scheme::Other(scheme),
    };
    let posts = body.is_some();
    let contents = body.map(|text| {
        let (mut writer, reader) = wit_stream::new();
        spawn(async move {
            writer.write_all(text.into_bytes()).await;
        });
        reader
    });
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), contents, trailers, None);
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    if posts {
        request.set_method(&Method::Post).map_err(invalid)?;
    }
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(&authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&path)).map_err(invalid)?;
    let response = client::send(request).await?;
    let status = response.get_status_code();
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, _trailers) = Response::consume_body(response, done);
    let body = body.collect().await;
    Ok(json!({ "status": status, "body": String::from_utf8_lossy(&body) }))
}
