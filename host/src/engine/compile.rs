//! Compiled code, kept on disk by what it was compiled from.
//!
//! Loading compiled code is running it: whoever can write the folder owns the
//! process. So the folder belongs to us and to nobody else, or it is refused.
//!
//! Before a node serves, compiling uses every core. Beside traffic it is done in a
//! process of its own, on half of them, and of a component that was changed only
//! what is new in it.

use super::apart;
use super::config::Engine;
use super::sealed;
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
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
    /// The bytes are not WebAssembly.
    #[error("not a WebAssembly file (its first bytes are not `\\0asm`)")]
    NotWasm,
    /// The bytes are a core module.
    #[error(
        "a core module, not a component; build it for wasm32-wasip2, or wrap it with \
         `wasm-tools component new`"
    )]
    CoreModule,
    /// The bytes are not a component that wasmtime accepts.
    #[error("not a component this host can compile: {0:#}")]
    Invalid(wasmtime::Error),
    /// The same, in the words of another process.
    #[error("not a component this host can compile: {0}")]
    Refused(String),
}

/// Files in the cache: every revision that a large application keeps to go back
/// to. Each is a megabyte or two.
const KEPT: usize = 512;

/// Compiles components, or finds them compiled.
#[derive(Debug, Clone)]
pub struct Compiler {
    engine: Arc<Engine>,
    /// Whether there is traffic beside it.
    apart: bool,
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
            apart: false,
            folder,
            compatibility,
        })
    }

    /// The same, for a node that serves: in a process of its own, and only those
    /// functions that no earlier build had. The p99 of requests at 30 % of two cores'
    /// capacity, with a new build every half second against without, is 0.9 to 1.2
    /// times; it was 1.4 to 1.9 times where each build was compiled whole, and no
    /// less on threads of this process.
    #[must_use]
    pub fn beside_traffic(&self) -> Self {
        Self {
            apart: true,
            ..self.clone()
        }
    }

    /// The engine that compiles.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The component whose SHA-256 in hex is `digest`, if it was compiled before.
    /// Takes a few milliseconds.
    pub fn compiled(&self, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        if !path.exists() {
            return None;
        }
        // So that what is used is what is kept. At worst it is compiled again.
        let now = FileTimes::new().set_accessed(SystemTime::now());
        let _ = File::open(&path).and_then(|file| file.set_times(now));
        let found = sealed::read(&path).map_err(Into::into).and_then(|code| {
            wasmtime::ensure!(code.is_some(), "it is not what was written");
            load(&self.engine, &path)
        });
        found
            .inspect_err(|error| {
                tracing::warn!(path = %path.display(), "compiled code is unusable, compiling again: {error:#}");
            })
            .ok()
    }

    /// Compiles these bytes, whose SHA-256 in hex is `digest`. Takes 0.15 to
    /// 0.8 s on two idle cores, and longer beside traffic.
    ///
    /// # Errors
    ///
    /// When the bytes are no component.
    pub fn compile(&self, bytes: &[u8], digest: &str) -> Result<Component, CompileError> {
        match bytes {
            // The preamble's second half: version 1 and layer 0 is a module.
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(CompileError::CoreModule),
            [0, b'a', b's', b'm', ..] => {}
            _ => return Err(CompileError::NotWasm),
        }
        let compiled = if self.apart {
            let functions = self
                .folder
                .join(format!("{}.functions", self.compatibility));
            apart::have_compiled(bytes, self.engine.sizing(), &functions)
                .map_err(CompileError::Refused)?
        } else {
            self.engine
                .inner()
                .precompile_component(bytes)
                .map_err(CompileError::Invalid)?
        };
        let path = self.path(digest);
        let loaded = match self.store(&path, &compiled) {
            Ok(()) => load(&self.engine, &path),
            // A full disk is no reason not to serve.
            Err(error) => {
                tracing::warn!(
                    path = %path.display(),
                    "compiled code is not kept, and compiled again when it is next needed: {error}"
                );
                adopt(&self.engine, &compiled)
            }
        };
        loaded.map_err(CompileError::Invalid)
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder
            .join(format!("{digest}-{}.sealed", self.compatibility))
    }

    fn store(&self, path: &Path, compiled: &[u8]) -> std::io::Result<()> {
        sealed::write(path, compiled)?;
        self.prune()
    }

    /// Removes the files that were used least lately, beyond [`KEPT`]. One that
    /// is mapped stays usable to whoever has it.
    fn prune(&self) -> std::io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Another process may be pruning, too.
            if let Ok(used) = entry.metadata().and_then(|it| it.accessed()) {
                files.push((used, entry.path()));
            }
        }
        files.sort_unstable();
        let surplus = files.len().saturating_sub(KEPT);
        for (_, path) in files.iter().take(surplus) {
            let _ = std::fs::remove_file(path);
        }
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

#[expect(
    unsafe_code,
    reason = "the bytes were made a moment ago, by this engine or by this very program"
)]
fn adopt(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: see the reason above; nobody else has had them.
    unsafe { Component::deserialize(engine.inner(), compiled) }
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
