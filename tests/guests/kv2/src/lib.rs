//! Calls `fermyon:spin/key-value@2.0.0` as a script says.

use std::collections::HashMap;

use guest_probe2::wasip2::exports::http::incoming_handler::Guest;
use guest_probe2::wasip2::http::types::{IncomingRequest, ResponseOutparam};
use guest_probe2::wasip2::{self};
use guest_probe2::{Exchange, outcome};
use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import fermyon:spin/key-value@2.0.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

use fermyon::spin::key_value::Store;

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

    fn step(&mut self, step: Step) -> Value {
        match step {
            Step::Open { name, label } => {
                let store = Store::open(&label);
                outcome(store.map(|store| {
                    self.open.insert(name, store);
                }))
            }
            Step::Get(it) => outcome(self.on(&it.on).get(&it.key)),
            Step::Set { on, key, value } => outcome(self.on(&on).set(&key, &value)),
            Step::Delete(it) => outcome(self.on(&it.on).delete(&it.key)),
            Step::Exists(it) => outcome(self.on(&it.on).exists(&it.key)),
            Step::GetKeys(on) => outcome(self.on(&on).get_keys()),
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
