//! Imports what no host provides.

use guest_probe3::json_answer;
use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::{self};
use serde_json::json;

wit_bindgen::generate!({
    inline: "
        package probe:foreign@1.0.0;
        interface elsewhere { ask: func() -> u32; }
        world guest { import elsewhere; }
    ",
});

struct Component;

wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(_: Request) -> Result<Response, ErrorCode> {
        json_answer(200, &json!(probe::foreign::elsewhere::ask()))
    }
}
