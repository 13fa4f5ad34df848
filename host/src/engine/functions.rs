//! Functions that were compiled before, kept between the compiler's processes.
//!
//! A developer who swaps a component has changed a few of its functions. The rest,
//! and all of the standard library that it carries, need not be compiled again.
//!
//! The file is a run of records, sealed: the length of the key and of the code, each
//! as four bytes, little-endian, then both. What is in it is trusted as far as the
//! folder of the compile cache is, in which it lies.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use wasmtime::CacheStore;

use super::sealed;

/// Bytes of the file: some ten components of this project's size, less what they
/// have in common.
const MOST: usize = 32 << 20;

type Code = Vec<u8>;

/// What one compilation finds and adds.
#[derive(Debug)]
pub(super) struct Functions {
    path: PathBuf,
    known: HashMap<Vec<u8>, Code>,
    /// In the order of the file: what was used most lately comes first.
    order: Vec<Vec<u8>>,
    found: Mutex<HashSet<Vec<u8>>>,
    made: Mutex<Vec<(Vec<u8>, Code)>>,
}

impl Functions {
    /// Those in the file at `path`: none when there is no such file, or it is not what
    /// was written.
    pub(super) fn read(path: PathBuf) -> Self {
        let bytes = sealed::read(&path).ok().flatten().unwrap_or_default();
        let (mut known, mut order) = (HashMap::new(), Vec::new());
        let mut rest = bytes.as_slice();
        while let Some((key, code, left)) = record(rest) {
            rest = left;
            order.push(key.to_vec());
            known.insert(key.to_vec(), code.to_vec());
        }
        Self {
            path,
            known,
            order,
            found: Mutex::default(),
            made: Mutex::default(),
        }
    }

    /// Writes what this compilation made and used, and of the others as many as there
    /// is room for. Nothing, where it made nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the one before it is whole.
    pub(super) fn write(&self) -> std::io::Result<()> {
        let made = lock(&self.made);
        if made.is_empty() {
            return Ok(());
        }
        let found = lock(&self.found);
        let (lately, before): (Vec<_>, Vec<_>) =
            self.order.iter().partition(|key| found.contains(*key));
        let known = lately.into_iter().chain(before).filter_map(|key| {
            let code = self.known.get(key)?;
            Some((key, code))
        });
        let mut bytes = Vec::new();
        for (key, code) in made.iter().map(|(key, code)| (key, code)).chain(known) {
            if bytes.len() + 8 + key.len() + code.len() > MOST {
                break;
            }
            bytes.extend(length(key)?);
            bytes.extend(length(code)?);
            bytes.extend(key);
            bytes.extend(code);
        }
        sealed::write(&self.path, &bytes)
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let code = self.known.get(key)?;
        lock(&self.found).insert(key.to_vec());
        Some(Cow::Borrowed(code))
    }

    fn insert(&self, key: &[u8], code: Code) -> bool {
        lock(&self.made).push((key.to_vec(), code));
        true
    }
}

/// The first record of `bytes`, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key, rest) = bytes.split_first_chunk::<4>()?;
    let (code, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key) as usize)?;
    let (code, rest) = rest.split_at_checked(u32::from_le_bytes(*code) as usize)?;
    Some((key, code, rest))
}

fn length(of: &[u8]) -> std::io::Result<[u8; 4]> {
    u32::try_from(of.len())
        .map(u32::to_le_bytes)
        .map_err(std::io::Error::other)
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_made_the_next_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("functions");
        let first = Functions::read(path.clone());
        assert!(first.get(b"a").is_none());
        first.insert(b"a", b"code of a".to_vec());
        first.insert(b"b", b"code of b".to_vec());
        first.write().unwrap();

        let second = Functions::read(path.clone());
        assert_eq!(&*second.get(b"b").unwrap(), b"code of b");
        second.insert(b"c", b"code of c".to_vec());
        second.write().unwrap();

        let third = Functions::read(path);
        let order: Vec<&[u8]> = third.order.iter().map(Vec::as_slice).collect();
        assert_eq!(
            order,
            [b"c", b"b", b"a"],
            "what was used lately is kept longest"
        );
        assert_eq!(&*third.get(b"a").unwrap(), b"code of a");
    }

    #[test]
    fn the_file_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("functions");
        for key in [b"a", b"b"] {
            let functions = Functions::read(path.clone());
            functions.insert(key, vec![0; MOST / 2]);
            functions.write().unwrap();
        }
        let last = Functions::read(path);
        assert!(last.get(b"b").is_some());
        assert!(last.get(b"a").is_none());
    }

    #[test]
    fn a_file_cut_short_gives_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("functions");
        let functions = Functions::read(path.clone());
        functions.insert(b"a", b"code of a".to_vec());
        functions.write().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let cut = Functions::read(path);
        assert!(cut.get(b"a").is_none());
    }
}
