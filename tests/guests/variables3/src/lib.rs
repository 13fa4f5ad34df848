//! Calls `spin:variables@3.0.0` as a script says.

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::{self};
use guest_probe3::{Exchange, json_answer, outcome};
use serde::Deserialize;
use serde_json::Value;

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import spin:variables/variables@3.0.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

struct Component;

wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let mut exchange = Exchange::new(request);
        let script = match exchange.script::<Step>().await {
            Ok(script) => script,
            Err(answer) => return answer,
        };
        let mut session = Session;
        let mut outcomes = Vec::new();
        for step in script {
            outcomes.push(session.step(step).await);
        }
        json_answer(200, &Value::Array(outcomes))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Get(String),
}

struct Session;

impl Session {
    async fn step(&mut self, Step::Get(name): Step) -> Value {
        outcome(spin::variables::variables::get(name).await)
    }
}
