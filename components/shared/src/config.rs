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
}

/// The configuration, read once in an instance's life: it is the revision's and
/// does not change under it.
pub async fn config() -> Result<&'static Config, Refusal> {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config);
    }
    let read = Config {
        database_url: variables::get("database_url").await.map_err(unreadable)?,
        valkey_url: match variables::get("valkey_url").await {
            Ok(url) => Some(url).filter(|url| !url.is_empty()),
            Err(Error::Undefined(_)) => None,
            Err(error) => return Err(unreadable(error)),
        },
    };
    Ok(CONFIG.get_or_init(|| read))
}

fn unreadable(error: Error) -> Refusal {
    eprintln!("a variable cannot be read: {error}");
    Refusal::fault()
}
