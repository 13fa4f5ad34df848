//! The admin token: from a file or the environment, never from a flag, which
//! every process of the machine can read.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use http::HeaderValue;

use super::Cause;
use crate::config::Secret;

/// Far more than any token is long.
const LIMIT: u64 = 8 * 1024;

/// Reading by anyone at all.
const OTHERS_MAY_READ: u32 = 0o004;

/// The header's value that shows the token; none where there is none.
///
/// # Errors
///
/// As for [`find`]; when the token fits in no header.
pub(super) fn read(
    file: Option<&Path>,
    environment: Option<OsString>,
) -> Result<Option<HeaderValue>, Cause> {
    let Some((token, origin)) = find(file, environment)? else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| Cause::Usage(format!("{origin} holds a character that no token may have")))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The token, and where it is from; none where there is none. The file comes
/// before the environment, whose empty text is no token.
///
/// # Errors
///
/// When the file cannot be read, or the token is empty.
pub(super) fn find(
    file: Option<&Path>,
    environment: Option<OsString>,
) -> Result<Option<(Secret, String)>, Cause> {
    let (token, origin) = match (file, environment) {
        (Some(path), _) => (from_file(path)?, path.display().to_string()),
        (None, Some(text)) if !text.is_empty() => {
            let origin = "WARMLINK_ADMIN_TOKEN".to_owned();
            let text = text
                .into_string()
                .map_err(|_| Cause::Usage(format!("{origin} is not UTF-8")))?;
            (Secret::from(text), origin)
        }
        (None, _) => return Ok(None),
    };
    let text = token.expose().trim();
    if text.is_empty() {
        return Err(Cause::Usage(format!("{origin} holds no token")));
    }
    Ok(Some((text.into(), origin)))
}

fn from_file(path: &Path) -> Result<Secret, Cause> {
    let unreadable = |error| Cause::Unreadable(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // No more than a word: a container's secrets are mounted so as a rule.
    if metadata.is_file() && metadata.mode() & OTHERS_MAY_READ != 0 {
        eprintln!("note: any user may read the token in {}", path.display());
    }
    let mut text = String::new();
    let read = file.take(LIMIT + 1).read_to_string(&mut text);
    if read.map_err(unreadable)? as u64 > LIMIT {
        return Err(Cause::Usage(format!(
            "{} is too long for a token",
            path.display()
        )));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_file_comes_first_and_its_line_break_is_not_the_tokens() {
        let file = file("s3cret\n");
        let value = read(Some(file.path()), Some("other".into())).unwrap();
        let value = value.unwrap();
        assert_eq!(value, "Bearer s3cret");
        assert!(value.is_sensitive());
        let value = read(None, Some("other".into())).unwrap();
        assert_eq!(value.unwrap(), "Bearer other");
        assert!(read(None, Some("".into())).unwrap().is_none());
        assert!(read(None, None).unwrap().is_none());
    }

    #[test]
    fn what_is_no_token_is_said_and_not_shown() {
        for text in ["\n", "hunter\u{1}2", &"x".repeat(9000)] {
            let file = file(text);
            let error = read(Some(file.path()), None).unwrap_err();
            assert!(matches!(error, Cause::Usage(_)), "{error}");
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
        let error = read(Some(Path::new("/nowhere/token")), None).unwrap_err();
        assert!(matches!(error, Cause::Unreadable(_)), "{error}");
    }
}
