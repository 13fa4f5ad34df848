//! Compiled code, kept on disk by what it was compiled from.
//!
//! Loading compiled code is running it: whoever can write the folder owns the
//! process. So the folder belongs to us and to nobody else, or it is refused.

use super::config::Engine;
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::Component;

/// Why a component could not be compiled or its cache not be used.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The cache's folder cannot be made or read.
    #[error("compile cache {path}: {source}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may write where compiled code is loaded from.
    #[error("compile cache {path} must belong to this user and be closed to others (chmod 700)")]
    Untrusted {
        /// The folder.
        path: PathBuf,
    },
    /// The bytes are not a component that wasmtime accepts.
    #[error("not a component this host can compile: {0:#}")]
    Invalid(wasmtime::Error),
}

/// Compiles components, or finds them compiled.
#[derive(Debug, Clone)]
pub struct Compiler {
    engine: Arc<Engine>,
    folder: PathBuf,
    compatibility: String,
}

impl Compiler {
    /// A compiler whose cache is `folder`, made if it is not there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made, or is open to others.
    pub fn new(engine: Arc<Engine>, folder: PathBuf) -> Result<Self, CompileError> {
        let cache = |source| CompileError::Cache {
            path: folder.clone(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(cache)?;
        let metadata = std::fs::metadata(&folder).map_err(cache)?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !ours || metadata.mode() & 0o077 != 0 {
            return Err(CompileError::Untrusted { path: folder });
        }
        let mut hasher = Sha256Hasher(Sha256::new());
        engine
            .inner()
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        let compatibility = hex::encode(&hasher.0.finalize()[..8]);
        Ok(Self {
            engine,
            folder,
            compatibility,
        })
    }

    /// The engine that compiles.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The component of these bytes, whose SHA-256 in hex is `digest`.
    ///
    /// Compiling takes 0.15 to 0.8 s, finding it compiled a few milliseconds:
    /// call this off the request path.
    ///
    /// # Errors
    ///
    /// When the bytes are no component, or the cache cannot be written.
    pub fn component(&self, bytes: &[u8], digest: &str) -> Result<Component, CompileError> {
        let path = self
            .folder
            .join(format!("{digest}-{}.cwasm", self.compatibility));
        if path.exists() {
            match load(&self.engine, &path) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(path = %path.display(), "compiled code is unusable, compiling again: {error:#}");
                }
            }
        }
        let compiled = self
            .engine
            .inner()
            .precompile_component(bytes)
            .map_err(CompileError::Invalid)?;
        self.store(&path, &compiled)
            .map_err(|source| CompileError::Cache {
                path: path.clone(),
                source,
            })?;
        load(&self.engine, &path).map_err(CompileError::Invalid)
    }

    /// Writes beside and renames over, so that nobody ever maps half a file.
    fn store(&self, path: &Path, compiled: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(compiled)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "compiled code can only be loaded on trust: the folder is ours alone, \
              the name binds source and engine, and files appear whole by rename"
)]
fn load(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: see the reason above; `Compiler::new` checked the folder.
    unsafe { Component::deserialize_file(engine.inner(), path) }
}

/// Lets wasmtime's compatibility key, which is only `Hash`, name a file in a
/// way that does not depend on the standard library's hasher.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
