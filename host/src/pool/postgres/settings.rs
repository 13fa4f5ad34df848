use std::num::NonZeroUsize;
use std::time::Duration;

/// How a pool behaves. [`Settings::default`] gives the numbers named below.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections kept open; 0 opens them as they are needed. 0.
    pub min: usize,
    /// Connections that may exist at once, the opening and the closing ones
    /// included. 4.
    pub max: NonZeroUsize,
    /// Statements that may be under way on one shared connection. 8.
    pub pipeline_depth: NonZeroUsize,
    /// Bytes of rows kept for a caller before the result turns into a stream
    /// with a connection of its own. 256 KiB.
    pub row_buffer_bytes: usize,
    /// The same while other callers' statements stand behind the result on its
    /// connection. 4 MiB.
    pub row_buffer_limit: usize,
    /// Prepared statements kept per connection. 256.
    pub statement_cache: NonZeroUsize,
    /// Statement texts remembered by the pool, with what was learned of them;
    /// the most recent are prepared on new connections. 1,024.
    pub known_statements: NonZeroUsize,
    /// The server's own limit for one statement, set at connect: the largest
    /// deadline any caller has. 60 s.
    pub statement_timeout: Duration,
    /// What `pg_stat_activity` shows, unless the address says. `warmlink`.
    pub application_name: String,
    /// What its metrics are known by, in place of its address.
    pub series: Option<&'static str>,
    /// Sessions that may hold a connection at once (transactions, session
    /// state). However large, the last quarter of `max` is never pinned; a
    /// pool of one connection lends it. No limit of its own.
    pub pins: usize,
    /// How long a pinned connection or a half-read result may sit idle before
    /// it is taken back. 10 s.
    pub pin_idle: Duration,
    /// A statement running for longer than this gets no other queued behind
    /// it. 10 ms.
    pub slow_after: Duration,
    /// Statements that take longer than this twice in a row run on a
    /// connection of their own from then on. 100 ms.
    pub slow_statement: Duration,
    /// Limit for opening one connection, sign-on included. 5 s.
    pub connect_timeout: Duration,
    /// Connections opened at the same time. 4.
    pub connect_parallelism: NonZeroUsize,
    /// The first `min` connections are opened at a random moment within this
    /// time, so that a fleet's restart is no stampede. 50 ms.
    pub connect_jitter: Duration,
    /// The longest pause between attempts to connect; below `unavailable_after`,
    /// so that every caller that waits sees an attempt. 1 s.
    pub backoff_limit: Duration,
    /// How long a connection beyond `min` may sit idle. 60 s.
    pub idle_timeout: Duration,
    /// While there is no connection and attempts fail, a caller waits this
    /// long at most, so that it can still do without. 2 s.
    pub unavailable_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min: 0,
            max: const { NonZeroUsize::new(4).expect("4 > 0") },
            pipeline_depth: const { NonZeroUsize::new(8).expect("8 > 0") },
            row_buffer_bytes: 256 << 10,
            row_buffer_limit: 4 << 20,
            statement_cache: const { NonZeroUsize::new(256).expect("256 > 0") },
            known_statements: const { NonZeroUsize::new(1024).expect("1024 > 0") },
            statement_timeout: Duration::from_secs(60),
            application_name: "warmlink".to_owned(),
            series: None,
            pins: usize::MAX,
            pin_idle: Duration::from_secs(10),
            slow_after: Duration::from_millis(10),
            slow_statement: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(5),
            connect_parallelism: const { NonZeroUsize::new(4).expect("4 > 0") },
            connect_jitter: Duration::from_millis(50),
            backoff_limit: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            unavailable_after: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// How many connections may be out of the shared lane for pins: all but
    /// the last quarter, at least one.
    pub(super) fn pin_limit(&self) -> usize {
        let max = self.max.get();
        (max - max.div_ceil(4)).max(1).min(self.pins.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_never_take_the_last_quarter() {
        let limit = |max, pins| {
            Settings {
                max: NonZeroUsize::new(max).unwrap(),
                pins,
                ..Settings::default()
            }
            .pin_limit()
        };
        let free = usize::MAX;
        assert_eq!(
            [1, 2, 3, 4, 5, 8, 20].map(|max| limit(max, free)),
            [1, 1, 2, 3, 3, 6, 15]
        );
        assert_eq!(limit(8, 2), 2);
    }
}
