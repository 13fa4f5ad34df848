//! As many revisions of a component as a test likes, without a compiler.

use std::path::Path;

use crate::paths;

/// What `guest-revision` says of itself, until a test says otherwise.
const MARK: &[u8] = b"@revision@ok......@original@";

/// `guest-revision` under a name of at most eight bytes, behaving in one of the
/// ways it knows: `ok`, `busy` (503), `fail` (500), `trap`, `hang`, `tenth`.
///
/// # Panics
/// Where either is too long, or the guest is not built.
pub fn named(name: &str, behaviour: &str) -> Vec<u8> {
    assert!(name.len() <= 8 && behaviour.len() <= 8, "eight bytes each");
    let mut bytes = std::fs::read(paths::guest("revision")).expect("the guest is built");
    let mark = format!("@revision@{behaviour:.<8}@{name:.<8}@");
    write_over(&mut bytes, MARK, mark.as_bytes());
    bytes
}

/// `guest-http` whose `grow-table` does what it says.
///
/// # Panics
/// Where the guest is not built, or not as it is known here.
pub fn growing() -> Vec<u8> {
    // `(elements ^ 0x5741_524d) * 0x4c49_4e4b`, and `ref.null func`, `elements`,
    // `table.grow`, with nothing after it.
    const MARK: &[u8] = b"\x20\x00\x41\xcd\xa4\x85\xba\x05\x73\x41\xcb\x9c\xa5\xe2\x04\x6c";
    const GROWS: &[u8] = b"\xd0\x70\x20\x00\xfc\x0f\x00\x01\x01\x01\x01\x01\x01\x01\x01\x01";
    let mut bytes = std::fs::read(paths::guest("http")).expect("the guest is built");
    write_over(&mut bytes, MARK, GROWS);
    bytes
}

/// # Panics
/// Where the mark is not there, or not once.
fn write_over(bytes: &mut [u8], mark: &[u8], new: &[u8]) {
    let places: Vec<_> = bytes
        .windows(mark.len())
        .enumerate()
        .filter(|(_, window)| *window == mark)
        .map(|(place, _)| place)
        .collect();
    assert_eq!(places.len(), 1, "the mark is there once");
    bytes[places[0]..places[0] + mark.len()].copy_from_slice(new);
}

/// The component in `file` with a custom section that says `salt`: another
/// revision, of the same code.
///
/// # Panics
/// Where the file cannot be read.
pub fn salted(file: &Path, salt: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(file).expect("the component is built");
    let mut section = length("salt".len());
    section.extend_from_slice(b"salt");
    section.extend_from_slice(salt.as_bytes());
    // A custom section: its id, its length, its name, its content.
    bytes.push(0);
    bytes.extend(length(section.len()));
    bytes.extend(section);
    bytes
}

/// A number as WebAssembly writes it: seven bits at a time, the low ones first.
fn length(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(seven);
            return bytes;
        }
        bytes.push(seven | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_sevens() {
        assert_eq!(length(0), [0]);
        assert_eq!(length(127), [0x7f]);
        assert_eq!(length(624_485), [0xe5, 0x8e, 0x26]);
    }
}
