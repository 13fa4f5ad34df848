//! The three `/bulk` routes: rows that cannot be imported.

use warmlink_tests::seed::USERS_HEADER;
use warmlink_tests::{csv, rig, run};

use super::files::{FREE, Good, TIME, events, urls, users};

#[test]
fn a_bad_row_is_named_by_its_line_and_nothing_is_imported() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let good = Good::new();
        for (row, field) in [
            ("7,a,a@b".to_owned(), "fields"),
            (format!("7,a,a@b,{TIME},more"), "fields"),
            (format!("0,a,a@b,{TIME}"), "id"),
            (format!("-1,a,a@b,{TIME}"), "id"),
            (format!("x,a,a@b,{TIME}"), "id"),
            (format!("1.0,a,a@b,{TIME}"), "id"),
            (format!("9223372036854775808,a,a@b,{TIME}"), "id"),
            (format!(",a,a@b,{TIME}"), "id"),
            (format!("7,,a@b,{TIME}"), "username"),
            (format!("7,{},a@b,{TIME}", "a".repeat(81)), "username"),
            (format!("7,a\0b,a@b,{TIME}"), "username"),
            (format!("7,a,nothing,{TIME}"), "email"),
            (format!("7,a,,{TIME}"), "email"),
            ("7,a,a@b,".to_owned(), "created_at"),
            ("7,a,a@b,yesterday".to_owned(), "created_at"),
            ("7,a,a@b,2025-02-30 00:00:00".to_owned(), "created_at"),
            ("7,a,a@b,2025-09-19T22:25:05".to_owned(), "created_at"),
        ] {
            let reply = csv::upload(&api, "/users/bulk", users(&[&good.user, &row])).await;
            reply.error_naming(400, "line 3");
            reply.error_naming(400, field);
        }
        for (row, field) in [
            (
                format!("0,,abc123,https://example.com,t,True,{TIME},{TIME}"),
                "id",
            ),
            (
                format!("7,x,abc123,https://example.com,t,True,{TIME},{TIME}"),
                "user_id",
            ),
            (
                format!("7,,a b,https://example.com,t,True,{TIME},{TIME}"),
                "short_code",
            ),
            (
                format!("7,,,https://example.com,t,True,{TIME},{TIME}"),
                "short_code",
            ),
            (
                format!("7,,abc123,word,t,True,{TIME},{TIME}"),
                "original_url",
            ),
            (
                format!(
                    "7,,abc123,https://example.com,{},True,{TIME},{TIME}",
                    "t".repeat(256)
                ),
                "title",
            ),
            (
                format!("7,,abc123,https://example.com,t,1,{TIME},{TIME}"),
                "is_active",
            ),
            (
                format!("7,,abc123,https://example.com,t,,{TIME},{TIME}"),
                "is_active",
            ),
            (
                format!("7,,abc123,https://example.com,t,True,,{TIME}"),
                "created_at",
            ),
            (
                format!("7,,abc123,https://example.com,t,True,{TIME},x"),
                "updated_at",
            ),
        ] {
            let reply = csv::upload(&api, "/urls/bulk", urls(&[&good.url, &row])).await;
            reply.error_naming(400, "line 3");
            reply.error_naming(400, field);
        }
        for (row, field) in [
            (format!("x,1,,note,{TIME},{{}}"), "id"),
            (format!("7,,,note,{TIME},{{}}"), "url_id"),
            (format!("7,1,x,note,{TIME},{{}}"), "user_id"),
            (format!("7,1,,,{TIME},{{}}"), "event_type"),
            ("7,1,,note,now,{}".to_owned(), "timestamp"),
            (format!("7,1,,note,{TIME},"), "details"),
            (format!("7,1,,note,{TIME},loose"), "details"),
            (format!("7,1,,note,{TIME},[]"), "details"),
            (format!("7,1,,note,{TIME},\"\"\"{{}}\"\"\""), "details"),
        ] {
            let reply = csv::upload(&api, "/events/bulk", events(&[&good.event, &row])).await;
            reply.error_naming(400, "line 3");
            reply.error_naming(400, field);
        }
        good.assert_absent(&api).await;
    });
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let bad = format!("7,,a@b,{TIME}");
        let folded = format!("{FREE},\"two\nlines\",two@example.com,{TIME}");
        for (file, line) in [
            (format!("{USERS_HEADER}\n{bad}"), "line 2:"),
            (format!("{USERS_HEADER}\r\n{bad}\r\n"), "line 2:"),
            (format!("{USERS_HEADER}\n\n\n{bad}\n"), "line 4:"),
            (format!("{USERS_HEADER}\n{folded}\n{bad}\n"), "line 4:"),
        ] {
            csv::upload(&api, "/users/bulk", file)
                .await
                .error_naming(400, line);
        }
    });
}
