//! Every SQL statement of the service, by name.
//!
//! A request runs one statement wherever it can: what belongs together (a row,
//! its claim, its event) is one `WITH`, so it happens whole or not at all and
//! needs no transaction of its own.

mod import;
mod lists;
mod objects;
mod repair;
mod visits;

pub use import::{
    BEGIN, COMMIT, Conflict, Merge, ONE_IMPORT, RELEASE_WRITERS, ROLLBACK, SAVE_BEFORE_WRITERS,
    import_events, import_urls, import_users,
};
pub use lists::{EventFilter, List, UrlFilter, events, urls, users};
pub use objects::{
    CHANGE_URL, CHANGE_USER, CREATE_URL, CREATE_USER, DELETE_URL, DELETE_USER, RECORD_EVENT,
    URL_BY_ID, USER_BY_ID,
};
pub use repair::{ALL_INTENTS, FORGET_INTENTS, LEFT_INTENTS, WRITTEN};
pub use visits::{LINK_BY_CODE, PING, RECORD_CLICKS, VISIT_BY_CODE, VISIT_CACHED};
