//! Components that the manifest names by URL and digest.

use super::artifacts::Artifacts;
use crate::engine::Digest;
use http_body_util::{BodyExt, Limited};
use std::time::Duration;
use wasmtime_wasi_http::{Error, RequestOptions, default_send_request};

/// Longest wait for a connection, for an answer, and between its pieces.
const PATIENCE: Duration = Duration::from_secs(20);

/// The bytes at `url`, or those fetched before, if their SHA-256 is `digest`
/// (`sha256:` and hexadecimal digits).
///
/// # Errors
///
/// When they cannot be fetched or are not what the manifest names.
pub(super) async fn component(
    url: &str,
    digest: &str,
    artifacts: &Artifacts,
) -> Result<Vec<u8>, String> {
    let wanted = digest.strip_prefix("sha256:").unwrap_or(digest);
    let wanted = Digest(wanted.to_ascii_lowercase().into());
    if let Some(bytes) = artifacts.get(&wanted).await {
        return Ok(bytes);
    }
    let bytes = get(url, artifacts.limit())
        .await
        .map_err(|error| format!("{url}: {error}"))?;
    let found = Digest::of(&bytes);
    if found != wanted {
        return Err(format!(
            "{url}: its SHA-256 is {}, the manifest names {}",
            found.0, wanted.0
        ));
    }
    // Kept for the next start; a folder that cannot be written costs a fetch.
    if let Err(error) = artifacts.put(&wanted, bytes.clone()).await {
        tracing::warn!("fetched component not kept: {error}");
    }
    Ok(bytes)
}

async fn get(url: &str, limit: usize) -> Result<Vec<u8>, String> {
    let empty = http_body_util::Empty::new().map_err(|never| -> Error { match never {} });
    let request = http::Request::get(url)
        .body(empty)
        .map_err(|error| error.to_string())?;
    let options = RequestOptions {
        connect_timeout: Some(PATIENCE),
        first_byte_timeout: Some(PATIENCE),
        between_bytes_timeout: Some(PATIENCE),
    };
    let (response, io) = default_send_request(request, Some(options))
        .await
        .map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("answered {}", response.status()));
    }
    let collected = async {
        Limited::new(response.into_body(), limit)
            .collect()
            .await
            .map_err(|error| error.to_string())
    };
    // The connection has to be driven while its body is read.
    let (collected, _) = futures::join!(collected, io);
    Ok(collected?.to_bytes().to_vec())
}
