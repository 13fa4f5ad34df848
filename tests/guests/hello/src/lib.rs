//! Says hello, as a first component does.

use spin_sdk::http::{Error, IntoResponse, Request, Response};
use spin_sdk::http_service;

#[http_service]
async fn handle(_: Request) -> Result<impl IntoResponse, Error> {
    Ok(Response::builder()
        .status(200)
        .header("content-type", "text/plain")
        .body("Hello".to_string())?)
}
