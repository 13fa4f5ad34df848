//! HTTP: connections in, requests to their endpoints, responses out. The only
//! place that knows hyper.

pub mod asking;
pub mod clients;
pub mod conn;
pub mod exchange;
pub mod forwarded;
pub mod io;
pub mod listener;
pub mod request;
pub mod respond;
pub mod service;
mod traced;
pub mod untaken;

pub use asking::Asking;
pub use clients::Clients;
pub use forwarded::Proxies;
pub use listener::Listener;
pub use service::Service;
