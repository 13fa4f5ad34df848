//! wasmtime's own request handler behind hyper, set up as `wasmtime serve` sets
//! it up when told nothing: one multi-threaded runtime, the pooling allocator,
//! the system's allocator for everything else, and its numbers of requests for
//! an instance.
//!
//! It differs from `wasmtime serve` where that helps it: it logs nothing, and its
//! backlog holds every client that is measured.

mod guest;
mod handler;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use futures::TryFutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use guest::Guest;
use handler::Instances;

/// Requests handled at once.
const REQUESTS: usize = 1000;

/// Instances that the pool has room for.
const POOL: u32 = 1000;

/// Core instances of one, and tables, at most.
const SHIMS: u32 = 12;

/// Serves a component on a free port of the loopback, and prints `listening
/// ADDRESS`.
#[derive(Debug, Parser)]
struct Args {
    /// A component that exports `wasi:http/handler@0.3.0`.
    component: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let handler = ProxyHandler::new(Instances::new(load(&args)?));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .enable_io()
        .build()?;
    runtime.block_on(serve(handler))
}

fn load(args: &Args) -> Result<ServicePre<Guest>> {
    let mut pool = PoolingAllocationConfig::default();
    // The one default that is not kept. A component is several core instances, and
    // with room for 1,000 of them one request in 100,000 failed at 500 connections.
    pool.total_core_instances(SHIMS * POOL)
        .total_tables(SHIMS * POOL);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model(true)
        .wasm_component_model_async(true);
    let engine = Engine::new(&config)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    let component = Component::from_file(&engine, &args.component)?;
    ServicePre::new(linker.instantiate_pre(&component)?)
}

async fn serve(handler: ProxyHandler<Instances>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?);
    let permits = Arc::new(Semaphore::new(REQUESTS));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, handler.clone(), permits.clone()));
    }
}

async fn connection(stream: TcpStream, handler: ProxyHandler<Instances>, permits: Arc<Semaphore>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let (handler, permits) = (&handler, &permits);
        async move {
            let _permit = permits.acquire().await?;
            let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
            handler.handle((), request).await
        }
        .or_else(async |error| Ok::<_, Infallible>(failed(&error)))
    });
    // A client that goes away is no concern of a yardstick.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// Any of these makes a run void.
fn failed(error: &wasmtime::Error) -> Response<WasiBody> {
    eprintln!("a request failed: {error:#}");
    let mut response = Response::new(WasiBody::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
