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
    look: impl FnMut() -> F,
) -> T {
    match within(limit, look).await {
        Some(value) => value,
        None => panic!("not within {limit:?}: {what}"),
    }
}

/// Looks until `look` answers something, or the limit is over.
pub async fn within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = look().await {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
