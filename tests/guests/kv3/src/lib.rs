//! Calls `spin:key-value@3.0.0` as a script says.

use std::collections::HashMap;

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::{self};
use guest_probe3::{Exchange, json_answer, outcome};
use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import spin:key-value/key-value@3.0.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

use spin::key_value::key_value::Store;

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
struct Named {
    on: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Open {
        name: String,
        label: String,
    },
    Get(Named),
    Set {
        on: String,
        key: String,
        value: Vec<u8>,
    },
    Delete(Named),
    Exists(Named),
    GetKeys(String),
    Close(String),
}

#[derive(Default)]
struct Session {
    open: HashMap<String, Store>,
}

impl Session {
    fn on(&self, name: &str) -> &Store {
        self.open.get(name).expect("the script opened the handle")
    }

    async fn step(&mut self, step: Step) -> Value {
        match step {
            Step::Open { name, label } => {
                let store = Store::open(label).await;
                outcome(store.map(|store| {
                    self.open.insert(name, store);
                }))
            }
            Step::Get(it) => outcome(self.on(&it.on).get(it.key).await),
            Step::Set { on, key, value } => outcome(self.on(&on).set(key, value).await),
            Step::Delete(it) => outcome(self.on(&it.on).delete(it.key).await),
            Step::Exists(it) => outcome(self.on(&it.on).exists(it.key).await),
            Step::GetKeys(on) => {
                let (keys, end) = self.on(&on).get_keys().await;
                let keys = keys.collect().await;
                outcome(end.await.map(|()| keys))
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
