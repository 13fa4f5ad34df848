//! A connection outside of any pool.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::Client;

use super::address::Target;
use super::connect::Dialer;
use super::error::Error;

/// Limit for opening it, sign-on included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of the host's own, for what a pool is not made for: long
/// commands, session locks, notifications. It has no statement timeout but the
/// server's, and ends when this is dropped, after the statement that is running.
#[derive(Debug)]
pub struct Dedicated {
    client: Client,
    driver: AbortHandle,
}

/// Opens one on the runtime that is calling. `application_name` is what
/// `pg_stat_activity` shows, unless the address says.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn connect(target: &Target, application_name: &str) -> Result<Dedicated, Error> {
    open(Dialer::plain(target, application_name, CONNECT_TIMEOUT)).await
}

/// The same, and `heard` is called with the channel and the payload of each
/// notification, on the task that does the connection's I/O: it must return at
/// once. It is dropped when the connection has ended.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn listen(
    target: &Target,
    application_name: &str,
    heard: impl Fn(&str, &str) + Send + Sync + 'static,
) -> Result<Dedicated, Error> {
    open(Dialer::plain(target, application_name, CONNECT_TIMEOUT).hearing(Arc::new(heard))).await
}

async fn open(dialer: Dialer) -> Result<Dedicated, Error> {
    let opened = dialer.open().await.map_err(|error| Error::Unavailable {
        reason: error.to_string(),
    })?;
    let driver = tokio::spawn(async move {
        // Its end shows in the client's next call.
        let _ = opened.driver.await;
    });
    Ok(Dedicated {
        client: opened.client,
        driver: driver.abort_handle(),
    })
}

impl Dedicated {
    /// Closes the socket now, whatever is running: for a server that does not
    /// answer any more, which dropping this would wait for.
    pub fn abort(&self) {
        self.driver.abort();
    }
}

impl Deref for Dedicated {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Dedicated {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
