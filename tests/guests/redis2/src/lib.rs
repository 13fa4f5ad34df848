//! Calls `fermyon:spin/redis@2.0.0` as a script says.

use std::collections::HashMap;

use guest_probe2::wasip2::exports::http::incoming_handler::Guest;
use guest_probe2::wasip2::http::types::{IncomingRequest, ResponseOutparam};
use guest_probe2::wasip2::{self};
use guest_probe2::{Exchange, outcome};
use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import fermyon:spin/redis@2.0.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

use fermyon::spin::redis::{Connection, RedisParameter, RedisResult};

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut session = Session::default();
        Exchange::new(&request, out).run(|step| session.step(step));
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

    fn step(&mut self, step: Step) -> Value {
        match step {
            Step::Open { name, address } => {
                let connection = Connection::open(&address);
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
                outcome(self.on(&on).publish(&channel, &payload))
            }
            Step::Get(it) => {
                let value = self.on(&it.on).get(&it.key);
                outcome(value.map(|value| value.map(text)))
            }
            Step::Set(it) => {
                let value = it.value.into_bytes();
                outcome(self.on(&it.on).set(&it.key, &value))
            }
            Step::Incr(it) => outcome(self.on(&it.on).incr(&it.key)),
            Step::Del { on, keys } => outcome(self.on(&on).del(&keys)),
            Step::Sadd(it) => outcome(self.on(&it.on).sadd(&it.key, &it.value)),
            Step::Smembers(it) => outcome(self.on(&it.on).smembers(&it.key)),
            Step::Srem(it) => outcome(self.on(&it.on).srem(&it.key, &it.value)),
            Step::Execute {
                on,
                command,
                arguments,
            } => {
                let arguments: Vec<RedisParameter> =
                    arguments.into_iter().map(Into::into).collect();
                let results = self.on(&on).execute(&command, &arguments);
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
