//! Real folders, real builds. Every wait is for an event; the limit on it only
//! keeps a failure from hanging.

mod builds;
mod files;
pub(super) mod project;
