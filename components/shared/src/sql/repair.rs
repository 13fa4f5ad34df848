//! Intents to write a changed link to the cache.
//!
//! An intent is written with its change and marked once the cache has it. It
//! outlives whatever the cache may have held before the change: a cache that was
//! restored from an older file is repaired by it, too.

/// `$1` codes, `$2` versions, as arrays: the cache has them.
pub const WRITTEN: &str = "\
UPDATE cache_repair SET written = true
FROM unnest($1::text[], $2::bigint[]) AS done (code, version)
WHERE cache_repair.short_code = done.code AND cache_repair.version <= done.version
  AND NOT cache_repair.written";

/// `$1` code after which to go on, `$2` most rows → code and version of every
/// intent, then the link as it is now: id, target, whether active (all null once
/// it is deleted).
pub const ALL_INTENTS: &str = "\
SELECT intent.short_code, coalesce(urls.version, intent.version), urls.id, urls.original_url,
       coalesce(urls.is_active, false)
FROM (
    SELECT short_code, version FROM cache_repair WHERE short_code > $1
    ORDER BY short_code LIMIT $2
) AS intent LEFT JOIN urls ON urls.short_code = intent.short_code
ORDER BY intent.short_code";

/// The same of intents that nobody marked and whose writer has had a second to.
pub const LEFT_INTENTS: &str = "\
SELECT intent.short_code, coalesce(urls.version, intent.version), urls.id, urls.original_url,
       coalesce(urls.is_active, false)
FROM (
    SELECT short_code, version FROM cache_repair
    WHERE NOT written AND created_at < now() - interval '1 second' AND short_code > $1
    ORDER BY short_code LIMIT $2
) AS intent LEFT JOIN urls ON urls.short_code = intent.short_code
ORDER BY intent.short_code";

/// Forgets intents that are older than anything the cache can hold (60 s), by a
/// margin for the clocks of the two servers.
pub const FORGET_INTENTS: &str = "\
DELETE FROM cache_repair WHERE written AND created_at < now() - interval '90 seconds'";
