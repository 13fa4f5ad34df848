//! Components that the manifest names by URL and digest.

use http_body_util::{BodyExt, Limited};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;
use wasmtime_wasi_http::{Error, RequestOptions, default_send_request};

/// Largest component that is fetched, in bytes: ten times a large one.
const MAX_BYTES: usize = 64 << 20;

/// Longest wait for a connection, for an answer, and between its pieces.
const PATIENCE: Duration = Duration::from_secs(20);

/// The bytes at `url`, or those fetched before, if their SHA-256 is `digest`
/// (`sha256:` and hexadecimal digits).
///
/// # Errors
///
/// When they cannot be fetched or are not what the manifest names.
pub(super) async fn component(url: &str, digest: &str, folder: &Path) -> Result<Vec<u8>, String> {
    let wanted = digest.strip_prefix("sha256:").unwrap_or(digest);
    let kept = folder.join(format!("{wanted}.wasm"));
    if let Ok(bytes) = tokio::fs::read(&kept).await
        && is(&bytes, wanted)
    {
        return Ok(bytes);
    }
    let bytes = get(url).await.map_err(|error| format!("{url}: {error}"))?;
    if !is(&bytes, wanted) {
        return Err(format!(
            "{url}: its SHA-256 is {}, the manifest names {wanted}",
            hex::encode(Sha256::digest(&bytes))
        ));
    }
    // Kept for the next start; a folder that cannot be written costs a fetch.
    let written = async {
        tokio::fs::create_dir_all(folder).await?;
        tokio::fs::write(&kept, &bytes).await
    };
    if let Err(error) = written.await {
        tracing::warn!(path = %kept.display(), "fetched component not kept: {error}");
    }
    Ok(bytes)
}

fn is(bytes: &[u8], wanted: &str) -> bool {
    hex::encode(Sha256::digest(bytes)).eq_ignore_ascii_case(wanted)
}

async fn get(url: &str) -> Result<Vec<u8>, String> {
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
        Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await
            .map_err(|error| error.to_string())
    };
    // The connection has to be driven while its body is read.
    let (collected, _) = futures::join!(collected, io);
    Ok(collected?.to_bytes().to_vec())
}
