//! One runtime for the whole test binary: hosts and servers shared by several
//! tests outlive each of them.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// No test may take longer; a hanging one says so instead of hanging the run.
const LIMIT: Duration = Duration::from_secs(240);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads and an event queue can be had")
});

/// Runs a test to its end.
///
/// # Panics
/// Where the test does, or does not end within [`LIMIT`].
pub fn run<T>(test: impl Future<Output = T>) -> T {
    run_within(LIMIT, test)
}

/// Runs a test that may take longer than others.
///
/// # Panics
/// Where the test does, or does not end in time.
pub fn run_within<T>(limit: Duration, test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async {
        match tokio::time::timeout(limit, Box::pin(test)).await {
            Ok(value) => value,
            Err(_) => panic!("the test did not end within {limit:?}"),
        }
    })
}
