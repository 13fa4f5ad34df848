//! The exit codes, from BSD's `sysexits.h` where it has one that fits.

use crate::control::RefusalKind;

/// The command line, the configuration or the manifest is wrong.
pub(super) const USAGE: u8 = 64;
/// The component cannot serve.
pub(super) const DATA: u8 = 65;
/// A file cannot be read.
pub(super) const NO_INPUT: u8 = 66;
/// BSD's "addressee unknown", rather than its "host unknown".
pub(super) const NOT_FOUND: u8 = 67;
/// No node answers, or it is not ready.
pub(super) const UNAVAILABLE: u8 = 69;
/// A fault of the host's own.
pub(super) const INTERNAL: u8 = 70;
/// The connection broke or fell silent before the end was known.
pub(super) const BROKEN: u8 = 74;
/// Another attempt may succeed later.
pub(super) const TRY_AGAIN: u8 = 75;
/// Another node could not prepare the revision.
pub(super) const REFUSED: u8 = 76;
/// The node wants another token, or any.
pub(super) const NO_PERMISSION: u8 = 77;
/// What shells say of a process that SIGINT ended.
pub(super) const INTERRUPTED: u8 = 130;
/// Anything else.
pub(super) const OTHER: u8 = 1;

/// The same for people, in the long help of every command that asks a node.
pub(super) const HELP: &str = "\
Exit codes:
    0  done
   64  the command line is wrong, or the node says that the request is
   65  the component was refused: it cannot serve, or is too large
   66  FILE, or the token's file, cannot be read
   67  there is no such component or revision
   69  no node answers, or it is not ready
   70  a fault of the host's own
   74  the connection broke or fell silent; `warmlink status` shows what became of it
   75  try again later: another rollout is under way, there is nothing to do,
       or not all nodes run it in time
   76  another node could not prepare the revision; nobody switched
   77  the token is missing or wrong
  130  interrupted; a rollout that has begun goes on
    1  anything else

With --json an error is an object on standard output too: `error` in words, and
`kind`, which is the node's own or one of usage, unreadable, unreachable, broken,
silent, unexpected and interrupted.";

/// The exit code of what a node refused.
pub(super) fn of(kind: RefusalKind) -> u8 {
    match kind {
        RefusalKind::BadRequest => USAGE,
        RefusalKind::Unauthorized | RefusalKind::Forbidden => NO_PERMISSION,
        RefusalKind::NotFound => NOT_FOUND,
        RefusalKind::TooLarge | RefusalKind::Component => DATA,
        RefusalKind::Refused => REFUSED,
        RefusalKind::Conflict | RefusalKind::Timeout => TRY_AGAIN,
        RefusalKind::Unavailable => UNAVAILABLE,
        RefusalKind::Internal => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_code_and_the_help_names_it() {
        for (kind, code) in [
            (RefusalKind::BadRequest, 64),
            (RefusalKind::Unauthorized, 77),
            (RefusalKind::Forbidden, 77),
            (RefusalKind::NotFound, 67),
            (RefusalKind::TooLarge, 65),
            (RefusalKind::Component, 65),
            (RefusalKind::Refused, 76),
            (RefusalKind::Conflict, 75),
            (RefusalKind::Timeout, 75),
            (RefusalKind::Unavailable, 69),
            (RefusalKind::Internal, 70),
        ] {
            assert_eq!(of(kind), code, "{kind:?}");
            assert!(HELP.contains(&format!("\n{code:>5}  ")), "{code}");
        }
        for code in [NO_INPUT, BROKEN, INTERRUPTED, OTHER] {
            assert!(HELP.contains(&format!("\n{code:>5}  ")), "{code}");
        }
    }
}
