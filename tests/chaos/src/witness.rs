//! Whether those who ask get to work: somebody among them who wants to do something
//! again and again, and sees how much later than that it can.

use std::time::Duration;

use anyhow::ensure;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const BETWEEN: Duration = Duration::from_millis(10);
/// What is promised is a matter of quarters of a second. Where who asks and who relays
/// is held up for so long, it was not the host that was waited for.
const HELD_UP: Duration = Duration::from_millis(100);

pub(crate) struct Witness {
    end: oneshot::Sender<()>,
    task: JoinHandle<Duration>,
}

impl Witness {
    pub(crate) fn begin() -> Self {
        let (end, mut ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut latest = Duration::ZERO;
            loop {
                let due = Instant::now() + BETWEEN;
                if timeout(BETWEEN, &mut ended).await.is_ok() {
                    return latest;
                }
                latest = latest.max(due.elapsed());
            }
        });
        Self { end, task }
    }

    /// # Errors
    /// Where nobody got to work for a moment.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        drop(self.end);
        let latest = self.task.await?;
        ensure!(
            latest < HELD_UP,
            "this machine is busy: whoever asks was held up for {latest:.0?}"
        );
        Ok(())
    }
}
