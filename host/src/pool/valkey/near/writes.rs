//! Which keys a command may change.

use redis::Cmd;

use super::State;
use super::metrics::Reason;
use crate::pool::valkey::command::{LONGEST, bytes, upper};

/// More keys of one transaction than this are all keys.
const MOST_QUEUED: usize = 256;

/// A command that may change keys, from before it is sent until its reply, or
/// the lack of one, is about to be told.
pub(in crate::pool::valkey) struct Writing<'a> {
    state: &'a State,
    touched: Touched<'a>,
}

enum Touched<'a> {
    ArgumentsOf(&'a Cmd),
    Queued(Queued),
    All,
}

/// What the commands of a transaction may change once it is executed.
#[derive(Debug, Default)]
pub(in crate::pool::valkey) struct Queued {
    keys: Vec<Box<[u8]>>,
    all: bool,
}

impl State {
    pub(super) fn writing<'a>(&'a self, cmd: &'a Cmd) -> Option<Writing<'a>> {
        let touched = match effect(cmd) {
            Effect::Reads => return None,
            Effect::All => Touched::All,
            Effect::Arguments if self.touched(cmd).next().is_some() => Touched::ArgumentsOf(cmd),
            Effect::Arguments => return None,
        };
        Some(Writing::begin(self, touched))
    }

    pub(super) fn executing(&self, queued: Queued) -> Option<Writing<'_>> {
        let touched = if queued.all {
            Touched::All
        } else if queued.keys.is_empty() {
            return None;
        } else {
            Touched::Queued(queued)
        };
        Some(Writing::begin(self, touched))
    }

    pub(super) fn queue(&self, cmd: &Cmd, queued: &mut Queued) {
        match effect(cmd) {
            Effect::Reads => {}
            Effect::All => queued.all = true,
            Effect::Arguments => queued.keys.extend(self.touched(cmd).map(Box::from)),
        }
        if queued.all || queued.keys.len() > MOST_QUEUED {
            *queued = Queued {
                keys: Vec::new(),
                all: true,
            };
        }
    }

    /// The arguments that may be keys of ours.
    fn touched<'a>(&'a self, cmd: &'a Cmd) -> impl Iterator<Item = &'a [u8]> {
        let arguments = cmd.args_iter().skip(1).map(bytes);
        arguments.filter(|argument| self.prefixes.cover(argument))
    }
}

impl<'a> Writing<'a> {
    fn begin(state: &'a State, touched: Touched<'a>) -> Self {
        let writing = Self { state, touched };
        writing.forget();
        writing
    }

    fn forget(&self) {
        let Self { state, touched } = self;
        match touched {
            Touched::ArgumentsOf(cmd) => {
                for key in state.touched(cmd) {
                    state.shelf.invalidate(key);
                }
            }
            Touched::Queued(queued) => {
                for key in &queued.keys {
                    state.shelf.invalidate(key);
                }
            }
            Touched::All => state.shelf.clear(Reason::Flushed),
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Effect {
    /// Changes no key.
    Reads,
    /// May change the keys among its arguments. One that is not known does.
    Arguments,
    /// May change keys that it does not name.
    All,
}

fn effect(cmd: &Cmd) -> Effect {
    let mut buffer = [0; LONGEST];
    let name = cmd.args_iter().next().map(bytes);
    match name.and_then(|name| upper(name, &mut buffer)) {
        Some(
            b"DUMP" | b"ECHO" | b"EVALSHA_RO" | b"EVAL_RO" | b"EXISTS" | b"EXPIRETIME"
            | b"FCALL_RO" | b"GET" | b"GETRANGE" | b"HGET" | b"HGETALL" | b"HMGET" | b"KEYS"
            | b"LLEN" | b"LRANGE" | b"MGET" | b"OBJECT" | b"PEXPIRETIME" | b"PING" | b"PTTL"
            | b"SCAN" | b"SCARD" | b"SISMEMBER" | b"SMEMBERS" | b"STRLEN" | b"SUBSTR" | b"TOUCH"
            | b"TTL" | b"TYPE" | b"WATCH" | b"ZRANGE" | b"ZSCORE",
        ) => Effect::Reads,
        Some(b"FLUSHALL" | b"FLUSHDB" | b"SWAPDB") => Effect::All,
        _ => Effect::Arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect_of(words: &str) -> Effect {
        let mut cmd = Cmd::new();
        cmd.arg(words.split(' ').collect::<Vec<_>>());
        effect(&cmd)
    }

    #[test]
    fn what_is_not_known_to_read_may_write() {
        for words in ["GET k", "mget a b", "Pexpiretime k", "EVALSHA_RO x 1 k"] {
            assert_eq!(effect_of(words), Effect::Reads, "{words}");
        }
        for words in [
            "SET k v",
            "GETDEL k",
            "EVALSHA x 1 k",
            "ANAMETHATNOBODYKNOWS k",
        ] {
            assert_eq!(effect_of(words), Effect::Arguments, "{words}");
        }
        for words in ["flushall", "FLUSHDB ASYNC", "SWAPDB 0 1"] {
            assert_eq!(effect_of(words), Effect::All, "{words}");
        }
        assert_eq!(effect(&Cmd::new()), Effect::Arguments);
    }
}
