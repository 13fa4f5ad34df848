//! What the components of the service share: how a request is read and checked,
//! how an answer and a refusal look, the rules of the objects, and every SQL
//! statement by name.
//!
//! The modules are pure, and tested natively, except for the four that speak to
//! the host: [`guest`] (HTTP), [`db`] (PostgreSQL), [`cache`] (Valkey) and
//! [`config`] (variables).

pub mod cache;
pub mod click;
pub mod code;
pub mod config;
pub mod db;
pub mod fields;
pub mod guest;
pub mod model;
pub mod paging;
pub mod query;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod row;
pub mod rules;
pub mod sql;
pub mod target;
pub mod time;

#[cfg(test)]
mod properties;

pub use refusal::Refusal;
pub use reply::Reply;
pub use request::{Head, Method};

/// What a request comes to: an answer, or a refusal that says why.
pub type Answer = Result<Reply, Refusal>;
