//! A connection outside of any pool.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio_postgres::Client;

use super::address::Target;
use super::connect::Dialer;
use super::error::Error;

/// Limit for opening it, sign-on included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of the host's own, for what a pool is not made for: long
/// commands, session locks. It has no statement timeout but the server's, and
/// ends when this is dropped, after the statement that is running.
#[derive(Debug)]
pub struct Dedicated {
    client: Client,
}

/// Opens one on the runtime that is calling. `application_name` is what
/// `pg_stat_activity` shows, unless the address says.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn connect(target: &Target, application_name: &str) -> Result<Dedicated, Error> {
    let opened = Dialer::plain(target, application_name, CONNECT_TIMEOUT)
        .open()
        .await
        .map_err(|error| Error::Unavailable {
            reason: error.to_string(),
        })?;
    tokio::spawn(async move {
        // Its end shows in the client's next call.
        let _ = opened.driver.await;
    });
    Ok(Dedicated {
        client: opened.client,
    })
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
