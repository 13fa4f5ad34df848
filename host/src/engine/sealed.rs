//! Files of code, followed by the SHA-256 of it: what a disk has made of them since is
//! never run. They lie in a folder that is ours alone; this is no proof against others.

use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// Writes beside and renames over, so that nobody ever finds half a file.
///
/// # Errors
///
/// When it cannot be written; the one before it is whole.
pub(super) fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(code)?;
    file.write_all(&Sha256::digest(code))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The code of a file; none where it is not what was written.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = std::fs::read(path)?;
    let whole = match bytes.split_last_chunk::<32>() {
        Some((code, sum)) if Sha256::digest(code)[..] == sum[..] => code.len(),
        _ => return Ok(None),
    };
    bytes.truncate(whole);
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code");
        assert!(read(&path).is_err());
        for code in [&b""[..], b"some code"] {
            write(&path, code).unwrap();
            assert_eq!(read(&path).unwrap().as_deref(), Some(code));
        }
        let sealed = std::fs::read(&path).unwrap();
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(read(&path).unwrap(), None, "byte {at}");
            std::fs::write(&path, &sealed[..at]).unwrap();
            assert_eq!(read(&path).unwrap(), None, "{at} bytes");
        }
    }
}
