//! What can go wrong, as every version of the interface can say it.

use super::value::{Mismatch, ParameterError};
use crate::pool::postgres::{DbError, Error};
use crate::telemetry::trace::Span;
use std::error::Error as _;

/// Why a call failed; shown, it is one line that the guest may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// No connection could be had.
    #[error("{0}")]
    Connection(String),
    /// A parameter does not fit the type that the statement asks for.
    #[error("{0}")]
    Parameter(String),
    /// The server answered with an error.
    #[error("{}", .0.text)]
    Database(Box<Report>),
    /// The statement failed, and not by the server.
    #[error("{0}")]
    Query(String),
    /// A column's value has no form here.
    #[error("column `{column}`: {fault}")]
    Conversion {
        /// By its name in the result.
        column: String,
        fault: Mismatch,
    },
    #[error("{0}")]
    Other(String),
}

/// A server's error report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// All of it on one line.
    pub(super) text: String,
    pub(super) severity: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    /// The other fields there are, by name.
    pub(super) extras: Vec<(String, String)>,
}

impl Failure {
    /// Has a statement's span say why it failed.
    pub(super) fn tell(&self, span: &Span) {
        let kind = match self {
            Self::Connection(_) => "connection",
            Self::Parameter(_) => "parameter",
            Self::Database(report) => {
                span.set_with("db.response.status_code", || report.code.clone());
                "database"
            }
            Self::Query(_) => "query",
            Self::Conversion { .. } => "conversion",
            Self::Other(_) => "other",
        };
        span.fail(kind);
    }

    pub(super) fn connection(text: impl ToString) -> Self {
        Self::Connection(text.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::PoolTimeout { .. } | Error::Unavailable { .. } => Self::connection(error),
            Error::Database(report) => Self::Database(Box::new(Report::of(report))),
            Error::Statement { error: inner } => match parameter(inner.source()) {
                Some(fault) => Self::Parameter(fault.to_string()),
                None => Self::Other(error.to_string()),
            },
            Error::Deadline { .. }
            | Error::ConnectionLost
            | Error::Reclaimed { .. }
            | Error::Refused { .. }
            | Error::Closed => Self::Other(error.to_string()),
        }
    }
}

/// What our own `ToSql` said, where that is the cause.
fn parameter<'a>(
    source: Option<&'a (dyn std::error::Error + 'static)>,
) -> Option<&'a ParameterError> {
    source?.downcast_ref()
}

impl Report {
    fn of(error: &DbError) -> Self {
        use tokio_postgres::error::ErrorPosition::{Internal, Original};

        let (position, internal_position, internal_query) = match error.position() {
            Some(Original(at)) => (Some(at), None, None),
            Some(Internal { position, query }) => (None, Some(position), Some(query.as_str())),
            None => (None, None, None),
        };
        let number = |number: &u32| number.to_string();
        let text = |text: Option<&str>| text.map(str::to_owned);
        let fields = [
            ("hint", text(error.hint())),
            ("where", text(error.where_())),
            ("schema", text(error.schema())),
            ("table", text(error.table())),
            ("column", text(error.column())),
            ("datatype", text(error.datatype())),
            ("constraint", text(error.constraint())),
            ("position", position.map(number)),
            ("internal_position", internal_position.map(number)),
            ("internal_query", text(internal_query)),
            ("file", text(error.file())),
            ("line", error.line().as_ref().map(number)),
            ("routine", text(error.routine())),
        ];
        let mut report = Self {
            text: String::new(),
            severity: error.severity().to_owned(),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: text(error.detail()),
            extras: fields
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        };
        report.text = report.on_one_line();
        report
    }

    fn on_one_line(&self) -> String {
        let mut text = format!("{}: {} ({})", self.severity, self.message, self.code);
        let detail = self.detail.iter().map(|detail| ("detail", detail));
        let extras = self
            .extras
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        for (name, value) in detail.chain(extras) {
            text.push_str(&format!("; {name}: {value}"));
        }
        text.replace(['\r', '\n'], " ")
    }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
