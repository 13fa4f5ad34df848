use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use redis::{ErrorKind as ClientKind, RedisError, ServerError, ServerErrorKind};

/// Why a command has no reply.
///
/// The text is for logs and for the component that sent the command; it never
/// holds a credential, a key or a value.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No connection is up. The command was not sent.
    #[error("not connected: {cause}")]
    Unavailable { cause: Arc<str> },
    /// The server refuses this client for good: a wrong password, a missing
    /// permission, a database that does not exist. Only `warm` says so; a
    /// command sees [`Error::Unavailable`].
    #[error("refused by the server: {cause}")]
    Rejected { cause: Arc<str> },
    /// The in-flight cap left no room in time. The command was not sent.
    #[error("too many commands in flight: no room within {waited:?}")]
    Overloaded { waited: Duration },
    /// No reply within the command timeout. The command may have run.
    #[error("no reply within {waited:?}")]
    Timeout { waited: Duration },
    /// The caller's own deadline passed first. The command may have run.
    #[error("the deadline passed after {waited:?} without a reply")]
    Deadline { waited: Duration },
    /// The connection broke while the reply was awaited. The command may have
    /// run.
    #[error("the connection was lost before the reply came")]
    ConnectionLost,
    /// Every connection that a session may have to itself is in use. The
    /// command was not sent.
    #[error("all {limit} dedicated connections are in use")]
    TooManyConnections { limit: usize },
    /// The session's own connection is gone, and with it what it had selected,
    /// watched or begun. The session stays lost.
    #[error("the session's own connection is gone: {reason}")]
    SessionLost { reason: &'static str },
    /// A command that cannot work over shared connections.
    #[error("{command} is not supported here: {reason}")]
    Refused {
        command: &'static str,
        reason: &'static str,
    },
    /// The stream has as many entries as it may have. The command was not sent.
    #[error("the stream is full")]
    Full,
    /// The server's own error reply.
    #[error("{}", server_text(.0))]
    Server(ServerError),
    /// The client or the wire misbehaved.
    #[error("{0}")]
    Protocol(String),
}

/// What an [`Error`] is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    Unavailable,
    Rejected,
    Overloaded,
    Timeout,
    Deadline,
    ConnectionLost,
    TooManyConnections,
    SessionLost,
    Refused,
    Full,
    Server,
    Protocol,
}

impl ErrorKind {
    pub const ALL: [Self; 12] = [
        Self::Unavailable,
        Self::Rejected,
        Self::Overloaded,
        Self::Timeout,
        Self::Deadline,
        Self::ConnectionLost,
        Self::TooManyConnections,
        Self::SessionLost,
        Self::Refused,
        Self::Full,
        Self::Server,
        Self::Protocol,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Rejected => "rejected",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Deadline => "deadline",
            ErrorKind::ConnectionLost => "connection_lost",
            ErrorKind::TooManyConnections => "too_many_connections",
            ErrorKind::SessionLost => "session_lost",
            ErrorKind::Refused => "refused",
            ErrorKind::Full => "full",
            ErrorKind::Server => "server",
            ErrorKind::Protocol => "protocol",
        }
    }
}

impl EncodeLabelValue for ErrorKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.as_str())
    }
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Unavailable { .. } => ErrorKind::Unavailable,
            Error::Rejected { .. } => ErrorKind::Rejected,
            Error::Overloaded { .. } => ErrorKind::Overloaded,
            Error::Timeout { .. } => ErrorKind::Timeout,
            Error::Deadline { .. } => ErrorKind::Deadline,
            Error::ConnectionLost => ErrorKind::ConnectionLost,
            Error::TooManyConnections { .. } => ErrorKind::TooManyConnections,
            Error::SessionLost { .. } => ErrorKind::SessionLost,
            Error::Refused { .. } => ErrorKind::Refused,
            Error::Full => ErrorKind::Full,
            Error::Server(_) => ErrorKind::Server,
            Error::Protocol(_) => ErrorKind::Protocol,
        }
    }

    /// Whether the server may have executed the command, so that sending it
    /// again could do it twice.
    pub fn may_have_run(&self) -> bool {
        match self {
            Error::Timeout { .. }
            | Error::Deadline { .. }
            | Error::ConnectionLost
            | Error::Protocol(_) => true,
            Error::Unavailable { .. }
            | Error::Rejected { .. }
            | Error::Overloaded { .. }
            | Error::TooManyConnections { .. }
            | Error::SessionLost { .. }
            | Error::Refused { .. }
            | Error::Full
            | Error::Server(_) => false,
        }
    }

    /// What the client library reports once a command is on its way.
    pub(super) fn in_command(error: RedisError) -> Error {
        match error.kind() {
            ClientKind::Io => Error::ConnectionLost,
            _ => Error::Protocol(error.to_string()),
        }
    }
}

/// Why one attempt to connect failed.
#[derive(Debug, Clone)]
pub(super) struct ConnectError {
    pub(super) cause: Arc<str>,
    /// Trying again cannot help until somebody changes the configuration.
    pub(super) permanent: bool,
}

impl ConnectError {
    pub(super) fn transient(cause: impl Into<Arc<str>>) -> Self {
        Self {
            cause: cause.into(),
            permanent: false,
        }
    }

    pub(super) fn closed() -> Self {
        Self::transient("the connection was closed")
    }

    pub(super) fn silent(time: Duration) -> Self {
        Self::transient(format!("the server did not answer for {time:?}"))
    }
}

impl From<RedisError> for ConnectError {
    fn from(error: RedisError) -> Self {
        let permanent = match error.kind() {
            ClientKind::AuthenticationFailed
            | ClientKind::InvalidClientConfig
            | ClientKind::RESP3NotSupported
            | ClientKind::Server(ServerErrorKind::NoPerm) => true,
            ClientKind::Io => is_bad_tls(&error),
            _ => {
                matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM" | "DENIED"))
                    // The reply to `SELECT` carries no code of its own.
                    || error.detail().is_some_and(|detail| detail.contains("index is out of range"))
            }
        };
        let cause = match (error.code(), error.detail()) {
            (Some(code), Some(detail)) => format!("{code} {detail}"),
            _ => error.to_string(),
        };
        Self {
            cause: cause.into(),
            permanent,
        }
    }
}

/// rustls reports a certificate it does not accept, or a peer that does not
/// speak TLS, as invalid data.
fn is_bad_tls(error: &RedisError) -> bool {
    type Shared = Arc<dyn std::error::Error + Send + Sync>;
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<Shared>())
        .and_then(|shared| shared.downcast_ref::<std::io::Error>())
        .is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData)
}

fn server_text(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_is_worth_another_try() {
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(!ConnectError::from(RedisError::from(io)).permanent);
    }

    #[test]
    fn a_wrong_password_is_not() {
        let error = RedisError::from((ClientKind::AuthenticationFailed, "no"));
        assert!(ConnectError::from(error).permanent);
    }

    #[test]
    fn nor_is_a_certificate_that_nobody_trusts() {
        let io = std::io::Error::new(std::io::ErrorKind::InvalidData, "UnknownIssuer");
        assert!(ConnectError::from(RedisError::from(io)).permanent);
    }

    #[test]
    fn only_a_command_that_was_sent_may_have_run() {
        assert!(Error::ConnectionLost.may_have_run());
        assert!(
            !Error::Unavailable {
                cause: "down".into()
            }
            .may_have_run()
        );
    }
}
