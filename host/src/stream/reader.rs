//! Reads the stream as one consumer of its group, and delivers what it reads.

use super::Settings;
use super::delivery::{Delivery, Patience, Settle};
use super::entry::{Batch, Malformed};
use super::metrics::StreamMetrics;
use crate::live::Private;
use crate::pause::{Pauses, jittered};
use crate::pool::valkey::{self, Line, ValkeyPool};
use redis::{Cmd, Value, cmd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a read waits for an entry. A node that stops waits for it too.
const BLOCK: Duration = Duration::from_millis(200);

/// How long a reply may take beyond that.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Entries gather for this long, from one read to the next, unless a batch is
/// full: a delivery of one entry costs nearly what one of a hundred does.
const GATHER: Duration = Duration::from_millis(10);

/// First and longest pause between attempts to reach the server.
pub(super) const RECONNECT: (Duration, Duration) =
    (Duration::from_millis(25), Duration::from_millis(500));

/// The longest time between two looks for entries of consumers that are gone.
const CLAIM: Duration = Duration::from_secs(5);

/// Where a claim begins, and where it ends up.
const START: &[u8] = b"0-0";

/// Why a reader begins anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Valkey(#[from] valkey::Error),
    #[error(transparent)]
    Reply(#[from] Malformed),
}

pub(super) struct Reader {
    settings: Arc<Settings>,
    pool: ValkeyPool,
    delivery: Delivery<Private>,
    stop: watch::Receiver<bool>,
    metrics: StreamMetrics,
}

impl Reader {
    pub(super) fn new(
        settings: Arc<Settings>,
        pool: ValkeyPool,
        component: Private,
        settle: mpsc::Sender<Settle>,
        stop: watch::Receiver<bool>,
        metrics: StreamMetrics,
    ) -> Self {
        let keep = settings.claim_after / 3;
        let delivery = Delivery {
            consumer: component,
            attempts: settings.attempts,
            keep,
            patience: Patience::within(keep),
            settle,
            stop: stop.clone(),
            metrics: metrics.clone(),
        };
        Self {
            settings,
            pool,
            delivery,
            stop,
            metrics,
        }
    }

    /// Reads until the node is to stop. A server that is away is waited for.
    pub(super) async fn run(mut self) {
        let mut pauses = Pauses::new(RECONNECT.0, RECONNECT.1);
        let mut told = false;
        while !self.stopping() {
            let began = Instant::now();
            let Err(broken) = self.read().await else {
                return;
            };
            if began.elapsed() > PATIENCE {
                pauses.reset();
                told = false;
            }
            if !std::mem::replace(&mut told, true) {
                let key = &*self.settings.key;
                tracing::warn!(stream = key, "reading stopped, going on soon: {broken}");
            }
            let mut stop = self.stop.clone();
            tokio::select! {
                () = sleep(pauses.another()) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Reads over one connection, for as long as it lasts.
    async fn read(&mut self) -> Result<(), Broken> {
        let mut line = self.pool.line().await?;
        create_group(&mut line, &self.settings).await?;
        self.unfinished(&mut line).await?;
        let mut claim = Instant::now();
        while !self.stopping() {
            if Instant::now() >= claim {
                self.claim(&mut line).await?;
                claim = Instant::now() + jittered(CLAIM.min(self.settings.claim_after / 2));
            }
            let batch = self.next(&mut line).await?;
            let began = Instant::now();
            let full = batch.entries.len() >= self.settings.batch;
            let empty = batch.is_empty();
            self.deliver(batch).await;
            if !full && !empty {
                sleep_until(began + GATHER).await;
            }
        }
        Ok(())
    }

    /// What this consumer was given before, and did not acknowledge.
    async fn unfinished(&mut self, line: &mut Line) -> Result<(), Broken> {
        let mut after = "0".to_owned();
        while !self.stopping() {
            let command = self.read_group(None, &after);
            let batch = Batch::of_read(line.command(&command, PATIENCE).await?)?;
            let Some(last) = batch.last() else {
                return Ok(());
            };
            after = last.to_owned();
            self.deliver(batch).await;
        }
        Ok(())
    }

    /// New entries, waited for.
    async fn next(&mut self, line: &mut Line) -> Result<Batch, Broken> {
        let command = self.read_group(Some(BLOCK), ">");
        match line.command(&command, BLOCK + PATIENCE).await {
            Ok(reply) => Ok(Batch::of_read(reply)?),
            // The stream was deleted, or the server has lost it.
            Err(valkey::Error::Server(error))
                if matches!(error.code(), "NOGROUP" | "UNBLOCKED") =>
            {
                create_group(line, &self.settings).await?;
                Ok(Batch::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read_group(&self, block: Option<Duration>, after: &str) -> Cmd {
        let Settings {
            key,
            group,
            consumer,
            batch,
            ..
        } = &*self.settings;
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(group).arg(consumer);
        command.arg("COUNT").arg(*batch);
        if let Some(block) = block {
            command.arg("BLOCK").arg(block.as_millis() as u64);
        }
        command.arg("STREAMS").arg(key).arg(after);
        command
    }

    /// Takes over what others were given and did not acknowledge in time.
    async fn claim(&mut self, line: &mut Line) -> Result<(), Broken> {
        let mut from = START.to_vec();
        loop {
            let Settings {
                key,
                group,
                consumer,
                batch,
                claim_after,
                ..
            } = &*self.settings;
            let mut command = cmd("XAUTOCLAIM");
            command.arg(key).arg(group).arg(consumer);
            command.arg(claim_after.as_millis() as u64).arg(&from);
            command.arg("COUNT").arg(*batch);
            let reply = match line.command(&command, PATIENCE).await {
                Err(valkey::Error::Server(error)) if error.code() == "NOGROUP" => {
                    return Ok(create_group(line, &self.settings).await?);
                }
                reply => reply?,
            };
            let (next, batch) = Batch::of_claim(reply)?;
            if !batch.entries.is_empty() {
                self.metrics.claimed.inc_by(batch.entries.len() as u64);
                tracing::info!(
                    stream = &*self.settings.key,
                    entries = batch.entries.len(),
                    "took over entries that nobody acknowledged"
                );
            }
            self.deliver(batch).await;
            if next == START || self.stopping() {
                return Ok(());
            }
            from = next;
        }
    }

    async fn deliver(&mut self, batch: Batch) {
        if !batch.gone.is_empty() {
            self.delivery.tell(Settle::Taken(batch.gone)).await;
        }
        if !batch.entries.is_empty() {
            self.delivery.run(batch.entries).await;
        }
    }
}

/// Makes the group, from the stream's beginning; fine where it exists.
pub(super) async fn create_group(
    line: &mut Line,
    settings: &Settings,
) -> Result<(), valkey::Error> {
    let mut command = cmd("XGROUP");
    command
        .arg("CREATE")
        .arg(&settings.key)
        .arg(&settings.group);
    command.arg("0").arg("MKSTREAM");
    match line.command(&command, PATIENCE).await {
        Ok(Value::Okay | Value::SimpleString(_)) => {
            tracing::info!(stream = &*settings.key, "consumer group created");
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(valkey::Error::Server(error)) if error.code() == "BUSYGROUP" => Ok(()),
        Err(error) => Err(error),
    }
}
