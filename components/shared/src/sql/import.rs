//! Imports: rows are staged as they are read, then merged whole or not at all.
//!
//! The order matters. The sequence moves past the file's ids, and every create
//! that drew a lower one has ended, before the first imported row exists: so no
//! create of another client ever meets an id of the file. The lock that waits
//! for those creates is taken inside a savepoint and let go with it (a sequence
//! never rolls back), so creates pause for a moment, not for the import.

pub const BEGIN: &str = "BEGIN";
pub const COMMIT: &str = "COMMIT";
pub const ROLLBACK: &str = "ROLLBACK";

/// One merge at a time, of all nodes. Waiting here keeps the table lock's queue
/// free: behind a waiting table lock every create would wait too.
pub const ONE_IMPORT: &str = "SELECT pg_advisory_xact_lock(7223114205120418)";
pub const SAVE_BEFORE_WRITERS: &str = "SAVEPOINT before_writers";
pub const RELEASE_WRITERS: &str = "ROLLBACK TO SAVEPOINT before_writers";

/// The statements of one kind of import.
#[derive(Clone, Copy, Debug)]
pub struct Merge {
    /// Makes the staging table, for the transaction's life.
    pub stage: &'static str,
    /// Adds a batch, one array per column, the line number first.
    pub add: &'static str,
    /// Each → line and value of the first row that must not be imported, and why.
    pub checks: &'static [(Conflict, &'static str)],
    /// Waits for the writers of the table.
    pub lock: &'static str,
    /// Moves the sequence past the staged ids.
    pub advance: &'static str,
    /// Adds the rows that are not there yet, in this order.
    pub merge: &'static [&'static str],
}

/// Why a staged row cannot be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The id exists with other content.
    Id,
    /// The code was given to another url.
    Code,
    /// The owner does not exist.
    Owner,
}

/// Users: names and addresses may repeat, each row adds a holder.
pub fn import_users() -> Merge {
    Merge {
        stage: "CREATE TEMPORARY TABLE staged_users (line bigint, id bigint, username text, \
                email text, created_at timestamp(0)) ON COMMIT DROP",
        add: "INSERT INTO staged_users \
              SELECT line, id, username, email, created_at::timestamp(0) \
              FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[]) \
              AS row (line, id, username, email, created_at)",
        checks: &[
            (Conflict::Id, USERS_DIFFER),
            (Conflict::Id, STAGED_USERS_DIFFER),
        ],
        lock: "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE",
        advance: "SELECT setval('users_id_seq', greatest(max(id), (SELECT last_value FROM users_id_seq))) \
                  FROM staged_users HAVING max(id) IS NOT NULL",
        merge: &[MERGE_USERS],
    }
}

const USERS_DIFFER: &str = "\
SELECT staged.line, staged.id::text FROM staged_users AS staged JOIN users USING (id)
WHERE (staged.username, staged.email, staged.created_at)
      IS DISTINCT FROM (users.username, users.email, users.created_at)
ORDER BY staged.line LIMIT 1";

const STAGED_USERS_DIFFER: &str = "\
SELECT line, id::text FROM (
    SELECT line, id, (username, email, created_at) AS content,
           lag((username, email, created_at)) OVER (PARTITION BY id ORDER BY line) AS before,
           row_number() OVER (PARTITION BY id ORDER BY line) AS nth
    FROM staged_users
) AS staged
WHERE nth > 1 AND content IS DISTINCT FROM before ORDER BY line LIMIT 1";

/// Names are claimed before addresses, and each in order, as everywhere.
const MERGE_USERS: &str = "\
WITH fresh AS (
    INSERT INTO users (id, username, email, created_at)
    SELECT DISTINCT ON (id) id, username, email, created_at FROM staged_users ORDER BY id, line
    ON CONFLICT (id) DO NOTHING
    RETURNING username, email
), names AS (
    INSERT INTO username_claims (username, holders)
    SELECT username, count(*) FROM fresh GROUP BY username ORDER BY username COLLATE \"C\"
    ON CONFLICT (username) DO UPDATE SET holders = username_claims.holders + excluded.holders
    RETURNING 1
), mails AS (
    INSERT INTO email_claims (email, holders)
    SELECT email, count(*) FROM fresh CROSS JOIN (SELECT count(*) FROM names) AS named
    GROUP BY email ORDER BY email COLLATE \"C\"
    ON CONFLICT (email) DO UPDATE SET holders = email_claims.holders + excluded.holders
)
SELECT count(*) FROM fresh";

/// Urls: a code belongs to one id for ever; an owner must exist.
pub fn import_urls() -> Merge {
    Merge {
        stage: "CREATE TEMPORARY TABLE staged_urls (line bigint, id bigint, user_id bigint, \
                short_code text COLLATE \"C\", original_url text, title text, is_active boolean, \
                created_at timestamp(0), updated_at timestamp(0)) ON COMMIT DROP",
        add: "INSERT INTO staged_urls \
              SELECT line, id, user_id, short_code, original_url, title, is_active::boolean, \
                     created_at::timestamp(0), updated_at::timestamp(0) \
              FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], \
                          $6::text[], $7::text[], $8::text[], $9::text[]) \
              AS row (line, id, user_id, short_code, original_url, title, is_active, \
                      created_at, updated_at)",
        checks: &[
            (Conflict::Id, URLS_DIFFER),
            (Conflict::Id, STAGED_URLS_DIFFER),
            (Conflict::Code, CODES_TAKEN),
            (Conflict::Code, STAGED_CODES_REPEAT),
            (Conflict::Owner, OWNERS_UNKNOWN),
        ],
        lock: "LOCK TABLE urls IN SHARE ROW EXCLUSIVE MODE",
        advance: "SELECT setval('urls_id_seq', greatest(max(id), (SELECT last_value FROM urls_id_seq))) \
                  FROM staged_urls HAVING max(id) IS NOT NULL",
        merge: &[MERGE_URLS, MERGE_CODES],
    }
}

const URLS_DIFFER: &str = "\
SELECT staged.line, staged.id::text FROM staged_urls AS staged JOIN urls USING (id)
WHERE (staged.user_id, staged.short_code, staged.original_url, staged.title, staged.is_active,
       staged.created_at, staged.updated_at)
      IS DISTINCT FROM (urls.user_id, urls.short_code, urls.original_url, urls.title,
       urls.is_active, urls.created_at, urls.updated_at)
ORDER BY staged.line LIMIT 1";

const STAGED_URLS_DIFFER: &str = "\
SELECT line, id::text FROM (
    SELECT line, id,
           (user_id, short_code, original_url, title, is_active, created_at, updated_at) AS content,
           lag((user_id, short_code, original_url, title, is_active, created_at, updated_at))
               OVER (PARTITION BY id ORDER BY line) AS before,
           row_number() OVER (PARTITION BY id ORDER BY line) AS nth
    FROM staged_urls
) AS staged
WHERE nth > 1 AND content IS DISTINCT FROM before ORDER BY line LIMIT 1";

const CODES_TAKEN: &str = "\
SELECT staged.line, staged.short_code FROM staged_urls AS staged
JOIN codes ON codes.code = staged.short_code
WHERE codes.url_id <> staged.id ORDER BY staged.line LIMIT 1";

const STAGED_CODES_REPEAT: &str = "\
SELECT line, short_code FROM (
    SELECT line, short_code, id,
           first_value(id) OVER (PARTITION BY short_code ORDER BY line) AS first
    FROM staged_urls
) AS staged
WHERE id <> first ORDER BY line LIMIT 1";

const OWNERS_UNKNOWN: &str = "\
SELECT staged.line, staged.user_id::text FROM staged_urls AS staged
LEFT JOIN users ON users.id = staged.user_id
WHERE staged.user_id IS NOT NULL AND users.id IS NULL ORDER BY staged.line LIMIT 1";

/// Rows before codes, the order in which a create takes the two; a row whose
/// code is taken stays out here and is found by the checks that follow.
const MERGE_URLS: &str = "\
INSERT INTO urls (id, user_id, short_code, original_url, title, is_active, created_at, updated_at,
                  version)
SELECT DISTINCT ON (staged.id) staged.id, staged.user_id, staged.short_code, staged.original_url,
       staged.title, staged.is_active, staged.created_at, staged.updated_at,
       coalesce(codes.version, 0) + 1
FROM staged_urls AS staged LEFT JOIN codes ON codes.code = staged.short_code
ORDER BY staged.id, staged.line
ON CONFLICT DO NOTHING";

const MERGE_CODES: &str = "\
INSERT INTO codes (code, url_id)
SELECT DISTINCT ON (short_code) short_code, id FROM staged_urls ORDER BY short_code, line
ON CONFLICT (code) DO NOTHING";

/// Events: history, which may speak of urls and users that are gone.
pub fn import_events() -> Merge {
    Merge {
        stage: "CREATE TEMPORARY TABLE staged_events (line bigint, id bigint, url_id bigint, \
                user_id bigint, event_type text, timestamp timestamp(0), details text) \
                ON COMMIT DROP",
        add: "INSERT INTO staged_events \
              SELECT line, id, url_id, user_id, event_type, timestamp::timestamp(0), details \
              FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], \
                          $6::text[], $7::text[]) \
              AS row (line, id, url_id, user_id, event_type, timestamp, details)",
        checks: &[
            (Conflict::Id, EVENTS_DIFFER),
            (Conflict::Id, STAGED_EVENTS_DIFFER),
        ],
        lock: "LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE",
        advance: "SELECT setval('events_id_seq', greatest(max(id), (SELECT last_value FROM events_id_seq))) \
                  FROM staged_events HAVING max(id) IS NOT NULL",
        merge: &[MERGE_EVENTS],
    }
}

const EVENTS_DIFFER: &str = "\
SELECT staged.line, staged.id::text FROM staged_events AS staged JOIN events USING (id)
WHERE (staged.url_id, staged.user_id, staged.event_type, staged.timestamp, staged.details)
      IS DISTINCT FROM (events.url_id, events.user_id, events.event_type, events.timestamp,
       events.details::text)
ORDER BY staged.line LIMIT 1";

const STAGED_EVENTS_DIFFER: &str = "\
SELECT line, id::text FROM (
    SELECT line, id, (url_id, user_id, event_type, timestamp, details) AS content,
           lag((url_id, user_id, event_type, timestamp, details))
               OVER (PARTITION BY id ORDER BY line) AS before,
           row_number() OVER (PARTITION BY id ORDER BY line) AS nth
    FROM staged_events
) AS staged
WHERE nth > 1 AND content IS DISTINCT FROM before ORDER BY line LIMIT 1";

const MERGE_EVENTS: &str = "\
INSERT INTO events (id, url_id, user_id, event_type, timestamp, details)
SELECT DISTINCT ON (id) id, url_id, user_id, event_type, timestamp, details::json
FROM staged_events ORDER BY id, line
ON CONFLICT (id) DO NOTHING";
