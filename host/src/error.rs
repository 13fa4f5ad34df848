//! What can go wrong with a request, as a closed set.
//!
//! A [`Kind`] is the status a client sees and the label a metric carries. The
//! words for the client and the words for the log are kept apart: the first
//! never hold more than the kind says, the second say what happened.

use std::fmt;
use std::time::Duration;

/// Why a request was not answered by its component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// No route matches the path.
    NoRoute,
    /// The path exists and takes other methods.
    MethodNotAllowed,
    /// The request's target or framing makes no sense.
    BadRequest,
    /// The request asks for a revision, and nobody who may ask has signed it.
    RevisionForbidden,
    /// The revision that the request asks for does not serve.
    NoRevision,
    /// The request's head is over the node's `header_bytes`.
    HeadTooLarge,
    /// The request's body is over the component's `request_body`.
    BodyTooLarge,
    /// The request's header or body did not arrive in time.
    RequestTimeout,
    /// The client has sent more requests than its component's `rate` allows.
    RateLimited,
    /// Admission refused the request: everything is in use, and the queue is
    /// full or did not move in time.
    Shed,
    /// The host is not ready or is draining.
    NotReady,
    /// No instance of the component could be made.
    Instantiation,
    /// The guest trapped, spun past its CPU limit, or never answered.
    Trapped,
    /// The guest answered with an error of its own in place of a response.
    GuestError,
    /// No answer by the deadline.
    Deadline,
    /// A fault of the host's own.
    Internal,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 16] = [
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::BadRequest,
        Self::RevisionForbidden,
        Self::NoRevision,
        Self::HeadTooLarge,
        Self::BodyTooLarge,
        Self::RequestTimeout,
        Self::RateLimited,
        Self::Shed,
        Self::NotReady,
        Self::Instantiation,
        Self::Trapped,
        Self::GuestError,
        Self::Deadline,
        Self::Internal,
    ];

    /// The HTTP status, by number.
    pub fn status(self) -> u16 {
        match self {
            Self::NoRoute | Self::NoRevision => 404,
            Self::RevisionForbidden => 403,
            Self::MethodNotAllowed => 405,
            Self::BadRequest => 400,
            Self::HeadTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::RequestTimeout => 408,
            Self::RateLimited => 429,
            Self::Shed | Self::NotReady | Self::Instantiation => 503,
            Self::Trapped | Self::GuestError => 502,
            Self::Deadline => 504,
            Self::Internal => 500,
        }
    }

    /// The label of metrics and the `kind` of the JSON body.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BadRequest => "bad_request",
            Self::RevisionForbidden => "revision_forbidden",
            Self::NoRevision => "no_revision",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::RateLimited => "rate_limited",
            Self::Shed => "shed",
            Self::NotReady => "not_ready",
            Self::Instantiation => "instantiation",
            Self::Trapped => "trapped",
            Self::GuestError => "guest_error",
            Self::Deadline => "deadline",
            Self::Internal => "internal",
        }
    }

    /// What the client is told.
    pub fn client_text(self) -> &'static str {
        match self {
            Self::NoRoute => "not found",
            Self::MethodNotAllowed => "method not allowed",
            Self::BadRequest => "malformed request",
            Self::RevisionForbidden => "the revision asked for needs a valid signature",
            Self::NoRevision => "the revision asked for does not serve",
            Self::HeadTooLarge => "the request head is too large",
            Self::BodyTooLarge => "the request body is too large",
            Self::RequestTimeout => "the request did not arrive in time",
            Self::RateLimited => "too many requests, try again later",
            Self::Shed => "overloaded, try again shortly",
            Self::NotReady => "not ready, try again shortly",
            Self::Instantiation => "no capacity for this endpoint, try again shortly",
            Self::Trapped => "the endpoint failed",
            Self::GuestError => "the endpoint gave no response",
            Self::Deadline => "the endpoint did not answer in time",
            Self::Internal => "internal error",
        }
    }

    /// Whose fault it is.
    pub fn origin(self) -> Origin {
        match self {
            Self::NoRoute
            | Self::MethodNotAllowed
            | Self::BadRequest
            | Self::RevisionForbidden
            | Self::NoRevision
            | Self::HeadTooLarge
            | Self::BodyTooLarge
            | Self::RequestTimeout
            | Self::RateLimited => Origin::Client,
            Self::Shed | Self::NotReady | Self::Instantiation | Self::Internal => Origin::Host,
            Self::Trapped | Self::GuestError | Self::Deadline => Origin::Guest,
        }
    }

    /// Whether the component's code is to blame, or what the host made of it:
    /// what a canary is judged by.
    pub fn is_guests(self) -> bool {
        self.origin() == Origin::Guest || self == Self::Instantiation
    }

    /// When the same request may be worth sending again. Of a client beyond its rate
    /// this is the least; its own time is told where it is known.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::RateLimited | Self::Shed | Self::NotReady | Self::Instantiation => {
                Some(Duration::from_secs(1))
            }
            Self::NoRoute
            | Self::MethodNotAllowed
            | Self::BadRequest
            | Self::RevisionForbidden
            | Self::NoRevision
            | Self::HeadTooLarge
            | Self::BodyTooLarge
            | Self::RequestTimeout
            | Self::Trapped
            | Self::GuestError
            | Self::Deadline
            | Self::Internal => None,
        }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The request's.
    Client,
    /// The component's.
    Guest,
    /// The host's, or the load on it.
    Host,
}

/// A request that its component did not answer.
#[derive(Debug)]
pub struct Failure {
    /// What happened, as status and label.
    pub kind: Kind,
    /// What happened, for the log alone.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind`, with the words for the log.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Self::new(kind, "")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.label())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// An error with its causes, which many libraries leave out of their texts.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
