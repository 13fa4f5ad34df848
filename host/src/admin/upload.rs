//! A component's bytes, on their way in.

use crate::control::{Refusal, RefusalKind};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::timeout;

/// Longest silence in an upload.
const SILENCE: Duration = Duration::from_secs(30);

/// How much of a refused upload is read on, and for how long: a client that is
/// still sending would not see the answer before the connection breaks. One that
/// may give no commands gets as much as fits its socket's buffers.
const DISCARDED: usize = 256 << 20;
const DISCARDED_UNKNOWN: usize = 4 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Reads a component of at most `limit` bytes, whose SHA-256 in hex is `digest`
/// if that is known.
///
/// # Errors
///
/// Where it is larger, ends early, or is not what was announced.
pub(super) async fn read(
    body: &mut Incoming,
    limit: usize,
    digest: Option<&str>,
) -> Result<Vec<u8>, Refusal> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(announced, limit));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    loop {
        let frame = match timeout(SILENCE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(bad(format!(
                    "the upload ended early, after {} bytes",
                    bytes.len()
                )));
            }
            Err(_) => {
                return Err(bad(format!(
                    "the upload stopped after {} bytes",
                    bytes.len()
                )));
            }
        };
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limit {
                return Err(too_large((bytes.len() + data.len()) as u64, limit));
            }
            bytes.extend_from_slice(&data);
        }
    }
    if bytes.is_empty() {
        return Err(bad("the upload is empty".to_owned()));
    }
    if let Some(digest) = digest {
        let found = hex::encode(Sha256::digest(&bytes));
        if !found.eq_ignore_ascii_case(digest) {
            return Err(bad(format!(
                "the upload is not what was announced: its SHA-256 is {found}, not {digest}"
            )));
        }
    }
    Ok(bytes)
}

/// Reads on what nobody wants, so that the answer is seen.
pub(super) async fn discard(body: &mut Incoming, known: bool) {
    let mut left = if known { DISCARDED } else { DISCARDED_UNKNOWN };
    let discarded = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
    };
    // What takes longer breaks off.
    let _ = timeout(DISCARD_TIME, discarded).await;
}

fn too_large(bytes: u64, limit: usize) -> Refusal {
    Refusal::new(
        RefusalKind::TooLarge,
        format!("the component has {bytes} bytes or more, and limits.component_size is {limit}"),
    )
}

fn bad(text: String) -> Refusal {
    Refusal::new(RefusalKind::BadRequest, text)
}
