//! Traps as it starts, before anything is asked of it.

use guest_probe3::bytes_answer;
use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::{self};

struct Component;

wasip3::http::service::export!(Component);

/// What a component's linker has called when an instance is made.
#[expect(unsafe_code, reason = "the linker knows it by this name alone")]
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    core::arch::wasm32::unreachable()
}

impl Guest for Component {
    async fn handle(_: Request) -> Result<Response, ErrorCode> {
        bytes_answer(200, &[], Vec::new())
    }
}
