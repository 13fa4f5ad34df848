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

/// `$1` code → target of an active link; for those who only ask.
pub const LINK_BY_CODE: &str = "SELECT original_url FROM urls WHERE short_code = $1 AND is_active";
