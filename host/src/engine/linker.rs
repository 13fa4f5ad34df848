//! What every component may import, linked once per engine.

use super::guest::Guest;
use crate::capability;
use wasmtime::component::Linker;

/// A linker with WASI 0.2 and 0.3, and every capability.
///
/// WASI always links: Rust's standard library imports files and sockets that
/// it never uses, and each store's grants of them are empty.
///
/// # Errors
///
/// When two definitions collide.
pub fn build(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    capability::postgres::link(&mut linker)?;
    capability::redis::link(&mut linker)?;
    capability::key_value::link(&mut linker)?;
    capability::variables::link(&mut linker)?;
    Ok(linker)
}
