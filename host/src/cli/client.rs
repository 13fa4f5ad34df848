//! The HTTP client of the commands, and the addresses that they are given.

use std::time::Duration;

use bytes::Buf;
use http::Uri;
use http_body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A client that gives up on an address that nobody answers at within 5 s.
pub(super) fn client<B>() -> Client<HttpConnector, B>
where
    B: Body + Send,
    B::Data: Buf + Send,
{
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Reads the address of a node: plain HTTP, as the host serves it.
pub(super) fn base_url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .parse()
        .map_err(|error| format!("not a URL: {error}"))?;
    let authority = match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => authority,
        (Some("https"), _) => {
            return Err("https is not supported: run this from beside the host, over http".into());
        }
        _ => return Err("expected http://HOST:PORT".into()),
    };
    if authority.as_str().contains('@') {
        return Err("a user name has no place here".into());
    }
    if uri.query().is_some() {
        return Err("a query has no place here".into());
    }
    Ok(uri)
}

/// The address of `path`, with its query where it has one, below `base`.
///
/// # Errors
///
/// A sentence, when the whole is too long or no address.
pub(super) fn join(base: &Uri, path: &str) -> Result<Uri, String> {
    let unfit = |error: &dyn std::fmt::Display| format!("the request's address: {error}");
    let mut parts = base.clone().into_parts();
    let whole = format!("{}{path}", base.path().trim_end_matches('/'));
    parts.path_and_query = Some(whole.parse().map_err(|error| unfit(&error))?);
    Uri::from_parts(parts).map_err(|error| unfit(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_below_the_address_given() {
        for (base, whole) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/users/bulk"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/users/bulk"),
            ("http://host/below/", "http://host/below/users/bulk"),
        ] {
            let joined = join(&base_url(base).unwrap(), "/users/bulk").unwrap();
            assert_eq!(joined.to_string(), whole);
        }
    }

    #[test]
    fn only_plain_http_addresses_are_taken() {
        for text in [
            "https://host",
            "host:80",
            "/users",
            "ftp://host",
            "http://host/?a=b",
            "http://me:secret@host",
            "",
        ] {
            assert!(base_url(text).is_err(), "{text:?}");
        }
    }
}
