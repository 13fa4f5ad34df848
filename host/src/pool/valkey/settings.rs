use std::num::NonZeroUsize;
use std::time::Duration;

/// How a pool behaves. The defaults are for a server in the same data centre.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Shared connections. Two: one core of the server executes all commands,
    /// so more of them do not make it faster.
    pub connections: NonZeroUsize,
    /// Commands awaiting a reply at once, over all shared connections. By
    /// Little's law a node that sends 50,000 commands a second to a server that
    /// answers within 1 ms has 50 in flight; 1,024 leaves room for bursts and
    /// for a server that takes 20 ms, and bounds what a frozen one holds back.
    pub in_flight: NonZeroUsize,
    /// The longest wait for one reply, however late the caller's deadline is.
    /// 250 ms is far beyond what a healthy server needs, and leaves a request
    /// time for another plan.
    pub command_timeout: Duration,
    /// The longest wait for a connection to be set up, `PING` included.
    pub connect_timeout: Duration,
    /// Connections that sessions may have to themselves.
    pub dedicated: usize,
    /// How long such a connection may go unused.
    pub idle: Duration,
    /// What its metrics are known by, in place of its address.
    pub series: Option<&'static str>,
    /// What is kept of the server's values in this process; nothing by default.
    pub near: Option<NearSettings>,
}

/// What a near cache keeps.
#[derive(Debug, Clone)]
pub struct NearSettings {
    /// What the keys begin with whose values are kept.
    pub prefixes: Vec<String>,
    /// Bytes of keys and values, and of what keeping them takes.
    pub size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: NonZeroUsize::new(2).expect("2 is not 0"),
            in_flight: NonZeroUsize::new(1024).expect("1024 is not 0"),
            command_timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(1),
            dedicated: 16,
            idle: Duration::from_secs(30),
            series: None,
            near: None,
        }
    }
}
