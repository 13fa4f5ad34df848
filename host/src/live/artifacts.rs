//! Components' bytes on disk, by their digest: those that were fetched, and
//! those that were deployed where there is no control database.

use crate::engine::Digest;
use std::io::{Error, Write as _};
use std::path::PathBuf;

/// A folder of `DIGEST.wasm`. What is read from it is checked against its name,
/// so it needs no trust.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
    /// Largest component, in bytes.
    limit: usize,
}

impl Artifacts {
    /// Those in `folder`, which is made when it is first needed. None is larger
    /// than `limit` bytes.
    pub fn new(folder: PathBuf, limit: usize) -> Self {
        Self { folder, limit }
    }

    /// Largest component, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes of `digest`, if they are there and whole.
    pub async fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = tokio::fs::read(self.path(digest)).await.ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Keeps `bytes`, whose digest is `digest`: whole, or not at all.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), Error> {
        let (folder, path) = (self.folder.clone(), self.path(digest));
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(&bytes)?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        });
        written.await.map_err(Error::other)?
    }

    /// Forgets all of them.
    pub async fn clear(&self) {
        // What cannot be removed takes room, and does no other harm.
        let _ = tokio::fs::remove_dir_all(&self.folder).await;
    }

    /// Forgets `digest`.
    pub async fn remove(&self, digest: &Digest) {
        // Where it is not there, it is gone already.
        let _ = tokio::fs::remove_file(self.path(digest)).await;
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_put_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path().join("deep/er"), 1024);
        let digest = Digest::of(b"bytes");
        assert_eq!(artifacts.get(&digest).await, None);
        artifacts.put(&digest, b"bytes".to_vec()).await.unwrap();
        assert_eq!(artifacts.get(&digest).await.unwrap(), b"bytes");
        std::fs::write(artifacts.path(&digest), b"other").unwrap();
        assert_eq!(artifacts.get(&digest).await, None, "its name does not fit");
        artifacts.remove(&digest).await;
        assert!(!artifacts.path(&digest).exists());
    }
}
