//! What the manifest's variables tell a component.

use std::sync::OnceLock;

use spin_sdk::variables::{self, Error};

use crate::Refusal;

/// Where the stores are.
#[derive(Debug)]
pub struct Config {
    pub database_url: String,
    /// None: there is no Valkey, and nothing is missing.
    pub valkey_url: Option<String>,
    /// The Valkey stream that clicks go to. None: they go to the database.
    pub click_stream: Option<String>,
}

/// The configuration, read once in an instance's life: it is the revision's and
/// does not change under it.
pub async fn config() -> Result<&'static Config, Refusal> {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config);
    }
    let valkey_url = optional("valkey_url").await?;
    let click_stream = optional("click_stream").await?;
    let read = Config {
        database_url: variables::get("database_url").await.map_err(unreadable)?,
        // Without a Valkey there is no stream either.
        click_stream: click_stream.filter(|_| valkey_url.is_some()),
        valkey_url,
    };
    Ok(CONFIG.get_or_init(|| read))
}

/// A variable that may be empty, or not be there at all.
async fn optional(name: &str) -> Result<Option<String>, Refusal> {
    match variables::get(name).await {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(Error::Undefined(_)) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

fn unreadable(error: Error) -> Refusal {
    eprintln!("a variable cannot be read: {error}");
    Refusal::fault()
}
