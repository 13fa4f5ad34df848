//! What a statement does to the connection it runs on.

use super::lexer::{Token, tokens};

/// Decides which lane a statement takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Leaves nothing behind: may run next to other callers' statements.
    Shared,
    /// Leaves nothing behind that outlives its transaction, but wants the
    /// connection to itself: definitions, maintenance, cursors, savepoints.
    Alone,
    /// Opens a transaction.
    Begin,
    /// Ends a transaction by giving it up.
    Rollback,
    /// Changes or reads state of the session; or nobody knows.
    Session,
    /// Like `Session`, and drops the prepared statements of the connection.
    Discard,
    /// Cannot work: the command, and what to use instead.
    Refused(&'static str, &'static str),
}

impl Class {
    /// Whether the session keeps the connection.
    pub(super) fn pins(self) -> bool {
        matches!(self, Self::Begin | Self::Session | Self::Discard)
    }

    /// Whether the connection must be reset before anyone else has it.
    pub(super) fn leaves_state(self) -> bool {
        matches!(self, Self::Session | Self::Discard)
    }
}

/// Functions that change or read what belongs to the session. Advisory locks
/// of the transaction (`pg_advisory_xact_lock`) are not among them.
const SESSION_FUNCTIONS: &[&str] = &[
    "set_config",
    "setseed",
    "set_limit",
    "currval",
    "lastval",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_advisory_unlock_all",
    "pg_listening_channels",
    "pg_export_snapshot",
    "pg_replication_origin_session_setup",
    "pg_replication_origin_session_reset",
];

/// Families of such functions in extensions.
const SESSION_PREFIXES: &[&str] = &["dblink"];

/// The class of `sql`. What is not known to be harmless is `Session`.
pub(super) fn classify(sql: &str) -> Class {
    let mut rest = tokens(sql);
    let Some(first) = rest.find(|token| !matches!(token, Token::Symbol('(' | ';'))) else {
        return Class::Shared;
    };
    let Token::Word(first) = first else {
        // A syntax error, which the server reports without running anything.
        return Class::Shared;
    };
    if touches_session(sql) {
        return Class::Session;
    }
    let mut next = || rest.next().unwrap_or(Token::Literal);
    match first.to_ascii_uppercase().as_str() {
        "SELECT" | "WITH" | "TABLE" | "VALUES" if selects_into_temporary(sql) => Class::Session,
        "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "VALUES" | "WITH" | "TABLE" => {
            Class::Shared
        }
        "BEGIN" => Class::Begin,
        "START" => Class::Begin,
        "ROLLBACK" | "ABORT" => {
            if rest.any(|token| token.is("TO") || token.is("PREPARED")) {
                Class::Alone
            } else {
                Class::Rollback
            }
        }
        "COMMIT" | "END" | "SAVEPOINT" | "RELEASE" | "LOCK" | "FETCH" | "MOVE" | "CLOSE" => {
            Class::Alone
        }
        "DECLARE" => {
            // WITH HOLD outlives the transaction; WITHOUT HOLD does not.
            let mut held = false;
            while let Some(token) = rest.next() {
                if token.is("WITH") && rest.clone().next().is_some_and(|next| next.is("HOLD")) {
                    held = true;
                }
                if token.is("FOR") {
                    break;
                }
            }
            if held { Class::Session } else { Class::Alone }
        }
        "SET" => match next() {
            scope if scope.is("LOCAL") || scope.is("TRANSACTION") || scope.is("CONSTRAINTS") => {
                Class::Alone
            }
            _ => Class::Session,
        },
        "PREPARE" if next().is("TRANSACTION") => Class::Alone,
        "CREATE" => {
            let temporary = rest
                .find(|token| {
                    !["OR", "REPLACE", "GLOBAL", "LOCAL", "RECURSIVE"]
                        .iter()
                        .any(|word| token.is(word))
                })
                .is_some_and(|token| token.is("TEMP") || token.is("TEMPORARY"));
            if temporary {
                Class::Session
            } else {
                Class::Alone
            }
        }
        "DISCARD" | "DEALLOCATE" => Class::Discard,
        "COPY" => Class::Refused("COPY", "insert rows in batches, as arrays through unnest"),
        "ALTER" | "ANALYSE" | "ANALYZE" | "CHECKPOINT" | "CLUSTER" | "COMMENT" | "DROP"
        | "EXPLAIN" | "GRANT" | "IMPORT" | "NOTIFY" | "REASSIGN" | "REFRESH" | "REINDEX"
        | "REVOKE" | "SECURITY" | "SHOW" | "TRUNCATE" | "VACUUM" => Class::Alone,
        // CALL and DO run code that is not seen here; LISTEN, PREPARE, EXECUTE,
        // RESET, LOAD and whatever is yet to come.
        _ => Class::Session,
    }
}

/// Whether a session function is called or the temporary schema is named.
fn touches_session(sql: &str) -> bool {
    let calls = |name: &str| {
        SESSION_FUNCTIONS
            .iter()
            .any(|function| name.eq_ignore_ascii_case(function))
            || SESSION_PREFIXES
                .iter()
                .any(|prefix| starts_with(name, prefix))
    };
    names(sql).any(|(name, called)| starts_with(name, "pg_temp") || (called && calls(name)))
}

/// Whether the statement asks what a sequence last gave to its session.
pub(super) fn reads_sequence(sql: &str) -> bool {
    names(sql).any(|(name, called)| {
        called && (name.eq_ignore_ascii_case("currval") || name.eq_ignore_ascii_case("lastval"))
    })
}

/// All names, and whether a call follows.
fn names(sql: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut tokens = tokens(sql).peekable();
    std::iter::from_fn(move || {
        loop {
            if let Token::Word(name) | Token::Quoted(name) = tokens.next()? {
                return Some((name, tokens.peek() == Some(&Token::Symbol('('))));
            }
        }
    })
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// `SELECT … INTO [LOCAL | GLOBAL] TEMP …`.
fn selects_into_temporary(sql: &str) -> bool {
    let mut tokens = tokens(sql);
    while let Some(token) = tokens.next() {
        if token.is("INTO") {
            let mut after = tokens.clone();
            let scope = after.next().unwrap_or(Token::Literal);
            let kind = if scope.is("LOCAL") || scope.is("GLOBAL") {
                after.next().unwrap_or(Token::Literal)
            } else {
                scope
            };
            if kind.is("TEMP") || kind.is("TEMPORARY") {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(class: Class, statements: &[&str]) {
        for sql in statements {
            assert_eq!(classify(sql), class, "{sql}");
        }
    }

    #[test]
    fn single_statements_share() {
        each(
            Class::Shared,
            &[
                "SELECT 1",
                "select * from urls where short_code = $1",
                "  -- hot path\n/* SET x */ (SELECT 1) UNION (SELECT 2)",
                "INSERT INTO temp VALUES (1) RETURNING id",
                "update t set a = 'SET LOCAL; BEGIN' where b = $$set_config('a','b',false)$$",
                "DELETE FROM t",
                "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
                "VALUES (1), (2)",
                "TABLE t",
                "WITH moved AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM moved",
                "SELECT nextval('s'), setval('s', 5), pg_notify('a', 'b')",
                "SELECT pg_advisory_xact_lock(1)",
                "SELECT * FROM t FOR UPDATE SKIP LOCKED",
                "SELECT set_config FROM settings",
                "SELECT a INTO b FROM c",
                "",
                " ; -- nothing",
                "'only a literal'",
            ],
        );
    }

    #[test]
    fn session_state_pins() {
        each(
            Class::Session,
            &[
                "SET search_path TO x",
                "set session authorization bob",
                "RESET ALL",
                "SELECT set_config('a', 'b', false)",
                "SELECT pg_catalog . set_config ('a', 'b', false)",
                "SELECT \"pg_advisory_lock\"(1)",
                "SELECT pg_try_advisory_lock_shared(1)",
                "WITH x AS (SELECT PG_ADVISORY_LOCK(1)) SELECT 1",
                "SELECT currval('s')",
                "INSERT INTO t VALUES (lastval())",
                "LISTEN jobs",
                "UNLISTEN *",
                "PREPARE p AS SELECT 1",
                "EXECUTE p",
                "CREATE TEMP TABLE t (a int)",
                "create local temporary table t (a int)",
                "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
                "CREATE TABLE pg_temp.t (a int)",
                "SELECT 1 AS a INTO TEMP t",
                "WITH x AS (SELECT 1) SELECT * INTO LOCAL TEMPORARY t FROM x",
                "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                "DO $$ BEGIN PERFORM 1; END $$",
                "CALL p()",
                "LOAD 'x'",
                "SELECT dblink_connect('c', 'host=x')",
                "SOMETHING new",
            ],
        );
        each(Class::Discard, &["DISCARD ALL", "DEALLOCATE ALL"]);
    }

    #[test]
    fn transactions() {
        each(
            Class::Begin,
            &[
                "BEGIN",
                "begin isolation level serializable",
                "START TRANSACTION READ ONLY",
                "/**/BEGIN;",
            ],
        );
        each(
            Class::Rollback,
            &["ROLLBACK", "abort", "ROLLBACK WORK AND NO CHAIN"],
        );
        each(
            Class::Alone,
            &[
                "COMMIT",
                "END",
                "COMMIT AND CHAIN",
                "SAVEPOINT a",
                "RELEASE a",
                "ROLLBACK TO SAVEPOINT a",
                "rollback work to a",
                "ROLLBACK PREPARED 'x'",
                "PREPARE TRANSACTION 'x'",
                "LOCK TABLE t",
                "SET LOCAL statement_timeout = 5",
                "SET TRANSACTION READ ONLY",
                "SET CONSTRAINTS ALL DEFERRED",
                "DECLARE c CURSOR FOR SELECT 1",
                "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
                "FETCH 5 FROM c",
            ],
        );
    }

    #[test]
    fn sequence_state_is_seen() {
        assert!(reads_sequence("SELECT currval('s')"));
        assert!(reads_sequence(
            "INSERT INTO t VALUES (pg_catalog.LASTVAL())"
        ));
        assert!(!reads_sequence("SELECT nextval('s'), currval FROM t"));
    }

    #[test]
    fn definitions_run_alone() {
        each(
            Class::Alone,
            &[
                "CREATE TABLE t (temp int)",
                "CREATE INDEX CONCURRENTLY i ON t (a)",
                "ALTER TABLE t ADD b int",
                "TRUNCATE t",
                "EXPLAIN ANALYZE SELECT 1",
                "SHOW max_connections",
                "VACUUM",
            ],
        );
    }

    #[test]
    fn copy_is_refused_however_it_hides() {
        for sql in [
            "COPY t FROM STDIN",
            "/* x */ copy t to stdout",
            "-- y\nCOPY t FROM '/x'",
        ] {
            assert!(matches!(classify(sql), Class::Refused("COPY", _)), "{sql}");
        }
    }
}
