//! Waiting for a state that announces itself to nobody.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Between two looks: short beside any state worth waiting for.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` answers something.
///
/// # Panics
/// Where it does not within the limit; `what` says what did not happen.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = look().await {
            return value;
        }
        if Instant::now() > deadline {
            panic!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
