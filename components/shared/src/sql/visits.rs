//! The redirect's statements: each finds the link and records the visit at once,
//! so that a visit is recorded exactly where a redirect is answered.

/// Whether the database answers.
pub const PING: &str = "SELECT 1";

/// `$1` code, `$2` the visit's id, `$3` referrer or null, `$4` user agent or
/// null → id, target and version of the link; none, and no visit, where the code
/// is unknown or the link inactive.
pub const VISIT_BY_CODE: &str = "\
WITH link AS (
    SELECT id, user_id, short_code, original_url, version
    FROM urls WHERE short_code = $1 AND is_active
), visit AS (
    INSERT INTO events (url_id, user_id, event_type, click_id, details)
    SELECT id, user_id, 'click', $2,
           json_strip_nulls(json_build_object('short_code', short_code,
               'original_url', original_url, 'referrer', $3::text, 'user_agent', $4::text))
    FROM link
    ON CONFLICT (click_id) WHERE click_id IS NOT NULL DO NOTHING
)
SELECT id, original_url, version FROM link";

/// `$1` url, `$2` version, `$3` code, `$4` target, `$5` the visit's id, `$6`
/// details → one row if the cached link is still the newest and active. A cache
/// that lags behind, or is of another database (one that was restored, say), is
/// found out here, before anything is answered from it.
pub const VISIT_CACHED: &str = "\
WITH link AS (
    SELECT id, user_id FROM urls
    WHERE id = $1 AND version = $2 AND short_code = $3 AND original_url = $4 AND is_active
), visit AS (
    INSERT INTO events (url_id, user_id, event_type, click_id, details)
    SELECT id, user_id, 'click', $5, $6::text::json FROM link
    ON CONFLICT (click_id) WHERE click_id IS NOT NULL DO NOTHING
)
SELECT 1 FROM link";

/// `$1` code → id, target and version of an active link; for those who only ask.
pub const LINK_BY_CODE: &str = "\
SELECT id, original_url, version FROM urls WHERE short_code = $1 AND is_active";

/// Clicks from the stream, one array per column: `$1` their ids, `$2` urls, `$3`
/// seconds since 1970, `$4` details. One that is recorded already is not recorded
/// again. In the order of their ids: two nodes with some clicks in common wait
/// for each other, and never in a circle.
pub const RECORD_CLICKS: &str = "\
INSERT INTO events (url_id, user_id, event_type, timestamp, click_id, details)
SELECT click.url_id, urls.user_id, 'click', to_timestamp(click.second) AT TIME ZONE 'UTC',
       click.id::uuid, click.details::json
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
     AS click (id, url_id, second, details)
LEFT JOIN urls ON urls.id = click.url_id
ORDER BY click.id COLLATE \"C\"
ON CONFLICT (click_id) WHERE click_id IS NOT NULL DO NOTHING";
