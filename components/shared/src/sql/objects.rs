//! Users, urls and events: one object at a time.

/// `$1` id → user.
pub const USER_BY_ID: &str = "SELECT id, username, email, created_at FROM users WHERE id = $1";

/// `$1` username, `$2` email → user. A name or an address that is held breaks
/// the primary key of its claims, and the whole statement with it; no id is
/// spent on that, since the row is made only from the two claims.
pub const CREATE_USER: &str = "\
WITH name AS (
    INSERT INTO username_claims (username) VALUES ($1) RETURNING username
), mail AS (
    INSERT INTO email_claims (email) SELECT $2::text FROM name RETURNING email
)
INSERT INTO users (username, email)
SELECT name.username, mail.email FROM name CROSS JOIN mail
RETURNING id, username, email, created_at";

/// `$1` id, `$2` username or null, `$3` email or null → user, none if unknown.
/// The new claims are taken before the old are let go (a trigger's work), so
/// that two users exchanging names are refused, not deadlocked.
pub const CHANGE_USER: &str = "\
WITH old AS MATERIALIZED (
    SELECT id, username, email FROM users WHERE id = $1 FOR NO KEY UPDATE
), name AS (
    INSERT INTO username_claims (username)
    SELECT $2::text FROM old WHERE $2::text <> old.username RETURNING username
), mail AS (
    INSERT INTO email_claims (email)
    SELECT $3::text FROM old LEFT JOIN name ON true WHERE $3::text <> old.email RETURNING email
)
UPDATE users
SET username = coalesce($2::text, users.username), email = coalesce($3::text, users.email)
FROM old LEFT JOIN name ON true LEFT JOIN mail ON true
WHERE users.id = old.id
RETURNING users.id, users.username, users.email, users.created_at";

/// `$1` id; one row affected if it was there.
pub const DELETE_USER: &str = "DELETE FROM users WHERE id = $1";

/// `$1` id → url.
pub const URL_BY_ID: &str = "\
SELECT id, user_id, short_code, original_url, title, is_active, created_at, updated_at
FROM urls WHERE id = $1";

/// `$1` code, `$2` owner or null, `$3` target, `$4` title or null, `$5` details
/// of the `created` event → whether the owner is known, id and creation time
/// (null where nothing was made: unknown owner, or code taken). A code taken at
/// the same moment breaks a unique key instead.
pub const CREATE_URL: &str = "\
WITH asked AS (
    SELECT ($2::bigint IS NULL OR EXISTS (SELECT FROM users WHERE id = $2)) AS owner_known,
           NOT EXISTS (SELECT FROM codes WHERE code = $1) AS code_free
), made AS (
    INSERT INTO urls (user_id, short_code, original_url, title)
    SELECT $2, $1, $3::text, $4::text FROM asked WHERE owner_known AND code_free
    RETURNING id, user_id, short_code, created_at
), claim AS (
    INSERT INTO codes (code, url_id) SELECT short_code, id FROM made
), told AS (
    INSERT INTO events (url_id, user_id, event_type, details)
    SELECT id, user_id, 'created', $5::text::json FROM made
)
SELECT asked.owner_known, made.id, made.created_at FROM asked LEFT JOIN made ON true";

/// `$1` id, `$2` whether a title is given, `$3` that title or null, `$4` active
/// or null, `$5` target or null, `$6` whether there is a cache to repair → url
/// and its version (null if nothing differed), none if unknown. Each field that
/// differs is told as an event; what differs in nothing is not written at all.
pub const CHANGE_URL: &str = "\
WITH old AS MATERIALIZED (
    SELECT id, user_id, short_code, original_url, title, is_active, created_at, updated_at
    FROM urls WHERE id = $1 FOR NO KEY UPDATE
), new AS (
    UPDATE urls
    SET title = CASE WHEN $2::boolean THEN $3::text ELSE old.title END,
        is_active = coalesce($4::boolean, old.is_active),
        original_url = coalesce($5::text, old.original_url),
        updated_at = date_trunc('second', now() AT TIME ZONE 'UTC'),
        version = urls.version + 1
    FROM old
    WHERE urls.id = old.id
      AND (($2::boolean AND old.title IS DISTINCT FROM $3::text)
        OR old.is_active <> $4::boolean OR old.original_url <> $5::text)
    RETURNING urls.*
), told AS (
    INSERT INTO events (url_id, user_id, event_type, details)
    SELECT new.id, new.user_id, 'updated',
           format('{\"field\":\"%s\",\"new_value\":%s}', part.field, coalesce(part.value::text, 'null'))::json
    FROM new JOIN old ON old.id = new.id
    CROSS JOIN LATERAL (VALUES
        (1, 'title', to_json(new.title), new.title IS DISTINCT FROM old.title),
        (2, 'is_active', to_json(new.is_active), new.is_active <> old.is_active),
        (3, 'original_url', to_json(new.original_url), new.original_url <> old.original_url)
    ) AS part (nth, field, value, changed)
    WHERE part.changed ORDER BY part.nth
), repair AS (
    INSERT INTO cache_repair (short_code, version)
    SELECT short_code, version FROM new WHERE $6::boolean
    ON CONFLICT (short_code) DO UPDATE
    SET version = excluded.version, created_at = now(), written = false
)
SELECT id, user_id, short_code, original_url, title, is_active, created_at, updated_at, version
FROM new
UNION ALL
SELECT id, user_id, short_code, original_url, title, is_active, created_at, updated_at, NULL
FROM old WHERE NOT EXISTS (SELECT FROM new)";

/// `$1` id, `$2` whether there is a cache to repair → code and the version of
/// its end, none if unknown. The code stays taken.
pub const DELETE_URL: &str = "\
WITH gone AS (
    DELETE FROM urls WHERE id = $1 RETURNING id, user_id, short_code, version + 1 AS version
), kept AS (
    UPDATE codes SET version = gone.version FROM gone WHERE codes.code = gone.short_code
), told AS (
    INSERT INTO events (url_id, user_id, event_type, details)
    SELECT id, user_id, 'deleted', '{\"reason\":\"user_requested\"}'::json FROM gone
), repair AS (
    INSERT INTO cache_repair (short_code, version)
    SELECT short_code, version FROM gone WHERE $2::boolean
    ON CONFLICT (short_code) DO UPDATE
    SET version = excluded.version, created_at = now(), written = false
)
SELECT short_code, version FROM gone";

/// `$1` url, `$2` user or null, `$3` type, `$4` details → whether the url and
/// the user are known, id and time (null if one of them is not).
pub const RECORD_EVENT: &str = "\
WITH asked AS (
    SELECT EXISTS (SELECT FROM urls WHERE id = $1) AS url_known,
           ($2::bigint IS NULL OR EXISTS (SELECT FROM users WHERE id = $2)) AS user_known
), made AS (
    INSERT INTO events (url_id, user_id, event_type, details)
    SELECT $1, $2, $3::text, $4::text::json FROM asked WHERE url_known AND user_known
    RETURNING id, timestamp
)
SELECT asked.url_known, asked.user_known, made.id, made.timestamp
FROM asked LEFT JOIN made ON true";
