//! How a component's new revisions come into service.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::reader::{Node, Table};
use crate::config::quantity::{format_percent, parse_percent};

/// What a canary may fail beyond the active revision, in hundredths of a
/// percent. Less is within the noise of a hundred requests.
const MARGIN: u32 = 500;

/// Requests that a canary is judged over.
const REQUESTS: u32 = 100;

const MOST_REQUESTS: u32 = 1_000_000_000;

const MARGIN_HELP: &str = "write a share of requests, as in \"5%\" or \"0.5%\"";
const PROBE_HELP: &str = "write a path that the component answers with 2xx, as in \"/health\"";
const NAME_HELP: &str = "write a name of letters, digits, '-' and '_'";

/// How a canary is chosen for a request, and judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CanarySpec {
    /// What it may fail beyond the active revision, in hundredths of a percent
    /// of its requests.
    #[serde(serialize_with = "as_percent")]
    pub margin: u32,
    /// Requests that it is judged over.
    pub requests: u32,
    /// What keeps a client on one side; none where each request is by chance.
    pub sticky: Option<Sticky>,
}

/// What a client is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// The value of a cookie, which the host sets where there is none.
    #[serde(serialize_with = "as_text")]
    Cookie(Arc<str>),
    /// The value of a header.
    #[serde(serialize_with = "as_text")]
    Header(Arc<str>),
}

impl Default for CanarySpec {
    fn default() -> Self {
        Self {
            margin: MARGIN,
            requests: REQUESTS,
            sticky: None,
        }
    }
}

impl CanarySpec {
    /// Reads `[component.ID.tool.warmlink.canary]`.
    pub(super) fn read(node: &Node<'_>) -> Self {
        let default = Self::default();
        let Some(mut table) = node.table() else {
            return default;
        };
        let margin = table.get("margin").and_then(|node| margin(&node));
        let requests = table.count_or("requests", REQUESTS, MOST_REQUESTS);
        let cookie = table.get("cookie");
        let header = table.get("header");
        if let (Some(_), Some(header)) = (&cookie, &header) {
            header.fault(
                "a client is known by a cookie or by a header, not by both",
                "leave one of the two out",
            );
        }
        table.finish();
        let cookie = cookie.and_then(|node| name(&node)).map(Sticky::Cookie);
        let header = header.and_then(|node| name(&node)).map(Sticky::Header);
        Self {
            margin: margin.unwrap_or(MARGIN),
            requests,
            sticky: cookie.or(header),
        }
    }
}

/// Reads the path that a new revision has to answer.
pub(super) fn probe(table: &mut Table<'_>) -> Option<String> {
    let node = table.get("probe")?;
    let path = node.text()?;
    let plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !path.starts_with('/') || !plain {
        node.fault(format!("{path:?} is no path"), PROBE_HELP);
        return None;
    }
    Some(path.to_owned())
}

fn margin(node: &Node<'_>) -> Option<u32> {
    parse_percent(node.text()?)
        .map_err(|message| node.fault(message, MARGIN_HELP))
        .ok()
}

fn name(node: &Node<'_>) -> Option<Arc<str>> {
    let name = node.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.bytes().all(plain) {
        node.fault(format!("{name:?} is no name"), NAME_HELP);
        return None;
    }
    Some(name.into())
}

fn as_percent<S: Serializer>(value: &u32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format_percent(*value))
}

fn as_text<S: Serializer>(value: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(value)
}
