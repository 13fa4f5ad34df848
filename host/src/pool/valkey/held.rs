//! Streams that are full.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use redis::Cmd;

use super::command;
use super::error::Error;

/// The keys that nobody appends to for now. While there are none, a command
/// costs one load.
#[derive(Default)]
pub(super) struct Held {
    any: AtomicBool,
    keys: RwLock<Vec<Box<[u8]>>>,
}

impl Held {
    pub(super) fn set(&self, key: &[u8], held: bool) {
        let mut keys = self.keys.write();
        keys.retain(|other| **other != *key);
        if held {
            keys.push(key.into());
        }
        self.any.store(!keys.is_empty(), Ordering::Relaxed);
    }

    /// # Errors
    /// [`Error::Full`] for an append to a stream that is held.
    pub(super) fn check(&self, cmd: &Cmd) -> Result<(), Error> {
        if !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        match command::appended(cmd) {
            Some(key) if self.keys.read().iter().any(|held| **held == *key) => Err(Error::Full),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cmd(words: &str) -> Cmd {
        let mut cmd = Cmd::new();
        for word in words.split(' ') {
            cmd.arg(word);
        }
        cmd
    }

    #[test]
    fn only_appends_to_a_held_stream_are_refused() {
        let held = Held::default();
        assert!(held.check(&cmd("XADD s * a b")).is_ok());
        held.set(b"s", true);
        held.set(b"s", true);
        assert!(matches!(held.check(&cmd("XADD s * a b")), Err(Error::Full)));
        assert!(matches!(held.check(&cmd("xadd s * a b")), Err(Error::Full)));
        for words in ["XADD t * a b", "XLEN s", "SET XADD s", "PING"] {
            assert!(held.check(&cmd(words)).is_ok(), "{words}");
        }
        held.set(b"s", false);
        assert!(held.check(&cmd("XADD s * a b")).is_ok());
    }
}
