//! What a command needs from the connection it is sent on.

use redis::{Arg, Cmd};

/// The longest name that anything here asks for; a longer one is an ordinary
/// command.
pub(super) const LONGEST: usize = 12;

const SUBSCRIPTION: &str = "its messages have no call to answer";
const OWN_WRITES: &str = "it counts the writes of its own connection, and they are shared; \
                          send it after a command that gives the handle one, such as WATCH";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Any connection: the command leaves no trace on it and holds up nobody.
    Shared,
    /// A connection that nobody else uses.
    Own(Effect),
    /// Only a session that has a connection of its own already may send it.
    OwnAlready(Refusal),
    Refused(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) command: &'static str,
    pub(super) reason: &'static str,
}

/// What remains on the connection once the command was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing, but the server may hold the reply back for long.
    Blocks,
    /// Keys are watched.
    Watch,
    Unwatch,
    /// A transaction is open.
    Multi,
    /// The transaction is over, the keys are no longer watched.
    Exec,
    /// Something that only closing the connection undoes.
    Alters,
}

pub(super) fn need(cmd: &Cmd) -> Need {
    let mut args = cmd.args_iter().map(bytes);
    let mut buffer = [0; LONGEST];
    let Some(name) = args.next().and_then(|name| upper(name, &mut buffer)) else {
        return Need::Shared;
    };
    match name {
        b"MULTI" => Need::Own(Effect::Multi),
        b"EXEC" | b"DISCARD" => Need::Own(Effect::Exec),
        b"WATCH" => Need::Own(Effect::Watch),
        b"UNWATCH" => Need::Own(Effect::Unwatch),
        b"SELECT" | b"AUTH" | b"HELLO" | b"READONLY" | b"READWRITE" | b"ASKING" => {
            Need::Own(Effect::Alters)
        }
        // Without replies no later one can be matched with its command.
        b"CLIENT" if is(args.next(), b"REPLY") => {
            refused("CLIENT REPLY", "every command must have its reply")
        }
        b"CLIENT" => Need::Own(Effect::Alters),
        b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BLMPOP" | b"BZPOPMIN" | b"BZPOPMAX"
        | b"BZMPOP" => Need::Own(Effect::Blocks),
        b"XREAD" if blocks(&mut args) => Need::Own(Effect::Blocks),
        // After `GROUP` come two names, and either may look like an option.
        b"XREADGROUP" if blocks(args.by_ref().skip(3)) => Need::Own(Effect::Blocks),
        b"WAIT" => Need::OwnAlready(Refusal {
            command: "WAIT",
            reason: OWN_WRITES,
        }),
        b"WAITAOF" => Need::OwnAlready(Refusal {
            command: "WAITAOF",
            reason: OWN_WRITES,
        }),
        b"SUBSCRIBE" => refused("SUBSCRIBE", SUBSCRIPTION),
        b"PSUBSCRIBE" => refused("PSUBSCRIBE", SUBSCRIPTION),
        b"SSUBSCRIBE" => refused("SSUBSCRIBE", SUBSCRIPTION),
        b"UNSUBSCRIBE" => refused("UNSUBSCRIBE", SUBSCRIPTION),
        b"PUNSUBSCRIBE" => refused("PUNSUBSCRIBE", SUBSCRIPTION),
        b"SUNSUBSCRIBE" => refused("SUNSUBSCRIBE", SUBSCRIPTION),
        b"MONITOR" => refused("MONITOR", SUBSCRIPTION),
        b"QUIT" => refused("QUIT", "a dropped handle closes what it had"),
        b"RESET" => refused("RESET", "a new handle starts afresh"),
        b"SYNC" => refused("SYNC", "a component is no replica"),
        b"PSYNC" => refused("PSYNC", "a component is no replica"),
        b"REPLCONF" => refused("REPLCONF", "a component is no replica"),
        b"SCRIPT" if is(args.next(), b"DEBUG") => {
            refused("SCRIPT DEBUG", "it takes the connection over")
        }
        _ => Need::Shared,
    }
}

/// The stream that a command appends to.
pub(super) fn appended(cmd: &Cmd) -> Option<&[u8]> {
    let mut args = cmd.args_iter().map(bytes);
    is(args.next(), b"XADD").then(|| args.next())?
}

fn refused(command: &'static str, reason: &'static str) -> Need {
    Need::Refused(Refusal { command, reason })
}

/// A cursor stands for a number, which is no word of ours.
pub(super) fn bytes(arg: Arg<&[u8]>) -> &[u8] {
    match arg {
        Arg::Simple(bytes) => bytes,
        _ => b"0",
    }
}

pub(super) fn upper<'b>(name: &[u8], buffer: &'b mut [u8; LONGEST]) -> Option<&'b [u8]> {
    let upper = buffer.get_mut(..name.len())?;
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    Some(upper)
}

fn is(arg: Option<&[u8]>, word: &[u8]) -> bool {
    arg.is_some_and(|arg| arg.eq_ignore_ascii_case(word))
}

/// Whether `BLOCK` is among the options, which end at `STREAMS`.
fn blocks<'a>(options: impl Iterator<Item = &'a [u8]>) -> bool {
    options
        .take_while(|option| !option.eq_ignore_ascii_case(b"STREAMS"))
        .any(|option| option.eq_ignore_ascii_case(b"BLOCK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need_of(words: &str) -> Need {
        let mut words = words.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        for word in words {
            cmd.arg(word);
        }
        need(&cmd)
    }

    #[test]
    fn ordinary_commands_are_shared() {
        for words in [
            "GET k",
            "set k v",
            "EVALSHA abc 0",
            "XADD s * a b",
            "XREAD COUNT 1 STREAMS block 0",
            "XREADGROUP GROUP block block STREAMS s >",
            "SCRIPT LOAD x",
            "ALONGNAMETHATISNOTLISTED x",
        ] {
            assert_eq!(need_of(words), Need::Shared, "{words}");
        }
        assert_eq!(need(&Cmd::new()), Need::Shared);
    }

    #[test]
    fn what_blocks_gets_a_connection_of_its_own() {
        for words in [
            "BLPOP q 5",
            "blpop q 5",
            "XREAD COUNT 2 BLOCK 0 STREAMS s $",
            "xread block 0 streams s $",
            "XREADGROUP GROUP streams me BLOCK 100 STREAMS s >",
        ] {
            assert_eq!(need_of(words), Need::Own(Effect::Blocks), "{words}");
        }
    }

    #[test]
    fn what_changes_the_connection_does_too() {
        assert_eq!(need_of("Multi"), Need::Own(Effect::Multi));
        assert_eq!(need_of("DISCARD"), Need::Own(Effect::Exec));
        assert_eq!(need_of("SELECT 3"), Need::Own(Effect::Alters));
        assert_eq!(need_of("CLIENT SETNAME x"), Need::Own(Effect::Alters));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for words in [
            "SUBSCRIBE c",
            "monitor",
            "QUIT",
            "RESET",
            "CLIENT reply off",
            "SCRIPT DEBUG YES",
        ] {
            let Need::Refused(refusal) = need_of(words) else {
                panic!("{words}")
            };
            let name = refusal.command.to_ascii_lowercase();
            assert!(words.to_ascii_lowercase().starts_with(&name), "{words}");
        }
        assert!(matches!(need_of("WAIT 1 0"), Need::OwnAlready(_)));
    }
}
