//! Calls `spin:redis@3.0.0` as a script says.

use std::collections::HashMap;

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::{self};
use guest_probe3::{Exchange, json_answer, outcome};
use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import spin:redis/redis@3.0.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

use spin::redis::redis::{Connection, RedisParameter, RedisResult};

struct Component;

wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let mut exchange = Exchange::new(request);
        let script = match exchange.script::<Step>().await {
            Ok(script) => script,
            Err(answer) => return answer,
        };
        let mut session = Session::default();
        let mut outcomes = Vec::new();
        for step in script {
            outcomes.push(session.step(step).await);
        }
        json_answer(200, &Value::Array(outcomes))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keyed<T> {
    on: String,
    key: String,
    value: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    on: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Open {
        name: String,
        address: String,
    },
    Publish {
        on: String,
        channel: String,
        payload: String,
    },
    Get(Named),
    Set(Keyed<String>),
    Incr(Named),
    Del {
        on: String,
        keys: Vec<String>,
    },
    Sadd(Keyed<Vec<String>>),
    Smembers(Named),
    Srem(Keyed<Vec<String>>),
    Execute {
        on: String,
        command: String,
        arguments: Vec<Argument>,
    },
    Close(String),
}

/// A whole number, or a text for its bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Argument {
    Number(i64),
    Text(String),
}

impl From<Argument> for RedisParameter {
    fn from(argument: Argument) -> Self {
        match argument {
            Argument::Number(number) => Self::Int64(number),
            Argument::Text(text) => Self::Binary(text.into_bytes()),
        }
    }
}

fn text(payload: Vec<u8>) -> String {
    String::from_utf8_lossy(&payload).into_owned()
}

/// `null`, `{"status": …}`, a number or a text.
fn piece(result: RedisResult) -> Value {
    match result {
        RedisResult::Nil => Value::Null,
        RedisResult::Status(status) => json!({ "status": status }),
        RedisResult::Int64(number) => json!(number),
        RedisResult::Binary(bytes) => json!(text(bytes)),
    }
}

#[derive(Default)]
struct Session {
    open: HashMap<String, Connection>,
}

impl Session {
    fn on(&self, name: &str) -> &Connection {
        self.open.get(name).expect("the script opened the handle")
    }

    async fn step(&mut self, step: Step) -> Value {
        match step {
            Step::Open { name, address } => {
                let connection = Connection::open(address).await;
                outcome(connection.map(|connection| {
                    self.open.insert(name, connection);
                }))
            }
            Step::Publish {
                on,
                channel,
                payload,
            } => {
                let payload = payload.into_bytes();
                outcome(self.on(&on).publish(channel, payload).await)
            }
            Step::Get(it) => {
                let value = self.on(&it.on).get(it.key).await;
                outcome(value.map(|value| value.map(text)))
            }
            Step::Set(it) => {
                let value = it.value.into_bytes();
                outcome(self.on(&it.on).set(it.key, value).await)
            }
            Step::Incr(it) => outcome(self.on(&it.on).incr(it.key).await),
            Step::Del { on, keys } => outcome(self.on(&on).del(keys).await),
            Step::Sadd(it) => outcome(self.on(&it.on).sadd(it.key, it.value).await),
            Step::Smembers(it) => outcome(self.on(&it.on).smembers(it.key).await),
            Step::Srem(it) => outcome(self.on(&it.on).srem(it.key, it.value).await),
            Step::Execute {
                on,
                command,
                arguments,
            } => {
                let arguments: Vec<RedisParameter> =
                    arguments.into_iter().map(Into::into).collect();
                let results = self.on(&on).execute(command, arguments).await;
                outcome(results.map(|results| results.into_iter().map(piece).collect::<Vec<_>>()))
            }
            Step::Close(name) => {
                drop(
                    self.open
                        .remove(&name)
                        .expect("the script opened the handle"),
                );
                json!({ "ok": null })
            }
        }
    }
}
