//! Clicks that are still in the stream.

use shared::{cache::Links, config::Config, guest};

/// How long a list waits for them at most, in nanoseconds: 1 s.
const PATIENCE: u64 = 1_000_000_000;

/// First and longest pause between two looks, in nanoseconds: 2 ms and 50 ms.
const PAUSES: (u64, u64) = (2_000_000, 50_000_000);

/// Waits until the clicks that are in the stream now are recorded, or have taken
/// too long. Without a stream, or a cache, there is nothing to wait for.
pub(crate) async fn wait(config: &Config) {
    let Some(stream) = &config.click_stream else {
        return;
    };
    let recorded = async {
        let links = Links::open(config).await?;
        let last = links.last_entry(stream).await?;
        let mut pause = PAUSES.0;
        while links.has_entry_until(stream, &last).await {
            guest::wait(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        Some(())
    };
    // Either way the list is what is recorded by then.
    let _ = guest::in_time(PATIENCE, recorded).await;
}
