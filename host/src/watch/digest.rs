//! What a file holds, for comparison.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub(super) type Digest = [u8; 32];

/// What is read at a time.
const PIECE: usize = 64 << 10;

/// The digest of a file's bytes. `None` where there is no file or nothing in it:
/// neither is anything to run, and the second is about to be written.
pub(super) fn of(path: &Path) -> Option<Digest> {
    // Asked before it is opened: a pipe would make us wait for its writer.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut sum = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        match file.read(&mut piece).ok()? {
            0 => break,
            read => {
                length += read;
                sum.update(&piece[..read]);
            }
        }
    }
    (length > 0).then(|| sum.finalize().into())
}

/// The same, with the reading elsewhere: components are large.
pub(super) async fn read(path: PathBuf) -> Option<Digest> {
    let read = tokio::task::spawn_blocking(move || of(&path));
    read.await.ok().flatten()
}
