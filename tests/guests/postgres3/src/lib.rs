//! Calls `spin:postgres@3.0.0` as a script says.

use std::collections::HashMap;

use guest_probe2::wasip2::exports::http::incoming_handler::Guest;
use guest_probe2::wasip2::http::types::{IncomingRequest, ResponseOutparam};
use guest_probe2::wasip2::{self};
use guest_probe2::{Exchange, outcome};
use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import spin:postgres/postgres@3.0.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

use spin::postgres3_0_0::postgres::{Connection, ParameterValue};

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
struct Statement {
    on: String,
    sql: String,
    #[serde(default)]
    params: Vec<ParameterValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Open { name: String, address: String },
    Query(Statement),
    Execute(Statement),
    Close(String),
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
            Step::Query(it) => outcome(self.on(&it.on).query(&it.sql, &it.params)),
            Step::Execute(it) => outcome(self.on(&it.on).execute(&it.sql, &it.params)),
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
