//! Calls `fermyon:spin/variables@2.0.0` as a script says.

use guest_probe2::wasip2::exports::http::incoming_handler::Guest;
use guest_probe2::wasip2::http::types::{IncomingRequest, ResponseOutparam};
use guest_probe2::wasip2::{self};
use guest_probe2::{Exchange, outcome};
use serde::Deserialize;
use serde_json::Value;

wit_bindgen::generate!({
    inline: "package probe:guest; world probe { import fermyon:spin/variables@2.0.0; }",
    path: "../../../wit",
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut session = Session;
        Exchange::new(&request, out).run(|step| session.step(step));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Get(String),
}

struct Session;

impl Session {
    fn step(&mut self, Step::Get(name): Step) -> Value {
        outcome(fermyon::spin::variables::get(&name))
    }
}
