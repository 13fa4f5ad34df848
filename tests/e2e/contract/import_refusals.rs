//! The three `/bulk` routes: what is not imported, and what its client is told.

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use warmlink_tests::seed::{EVENTS_HEADER, URLS_HEADER, USERS_HEADER};
use warmlink_tests::{csv, rig, run, unique};

use super::files::{FREE, Good, TIME, events, urls, users};

#[test]
fn a_body_without_a_csv_file_of_its_kind_is_400() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let good = Good::new();
        for (path, header, row) in [
            ("/users/bulk", USERS_HEADER, &good.user),
            ("/urls/bulk", URLS_HEADER, &good.url),
            ("/events/bulk", EVENTS_HEADER, &good.event),
        ] {
            let swapped = header.replacen("id,", "ID,", 1);
            let fewer = header.rsplit_once(',').unwrap().0;
            for file in [
                Vec::new(),
                b"\n".to_vec(),
                b"{\"users\":[]}".to_vec(),
                b"PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(),
                row.clone().into_bytes(),
                format!("{swapped}\n{row}\n").into_bytes(),
                format!("{fewer}\n{row}\n").into_bytes(),
                format!("{header},more\n{row},x\n").into_bytes(),
                format!("{}\n{row}\n", header.replace(',', ";")).into_bytes(),
            ] {
                csv::upload(&api, path, file)
                    .await
                    .error_naming(400, "header");
            }
            csv::upload(&api, path, b"\xff\xfe\x00")
                .await
                .error_naming(400, "line 1");
            for other in [USERS_HEADER, URLS_HEADER, EVENTS_HEADER] {
                if other != header {
                    csv::upload(&api, path, format!("{other}\n"))
                        .await
                        .error_naming(400, "header");
                }
            }
            let file = format!("{header}\n{row}\n");
            let (kind, other_part) = csv::multipart("other", "data.csv", file.as_bytes());
            let (_, whole) = csv::multipart("file", "data.csv", file.as_bytes());
            let post = async |kind: Option<&str>, body: Bytes| {
                let headers: Vec<_> = kind.map(|kind| (CONTENT_TYPE, kind)).into_iter().collect();
                api.send(Method::POST, path, &headers, body).await
            };
            post(Some(&kind), other_part)
                .await
                .error_naming(400, "file");
            // What broke off is not imported, not even the whole rows in it.
            let cut = whole.slice(..whole.len() - 8);
            post(Some(&kind), cut).await.error_naming(400, "body");
            post(Some(&kind), Bytes::new()).await.error(400);
            post(Some("multipart/form-data"), whole.clone())
                .await
                .error_naming(400, "body");
            post(Some("text/csv"), file.clone().into())
                .await
                .error_naming(400, "multipart");
            post(Some("application/json"), "{}".into())
                .await
                .error_naming(400, "multipart");
            post(None, whole).await.error_naming(400, "multipart");
        }
        good.assert_absent(&api).await;
    });
}

#[test]
fn a_row_that_clashes_is_409_with_its_line_and_nothing_is_imported() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let good = Good::new();
        let (user, url) = (rig::a_user(&api).await, rig::a_url(&api).await);
        let event = rig::events_of(&api, &url, None).await.remove(0);
        let name = unique::name("other");

        let other = format!("{},{name},{name}@example.com,{TIME}", user["id"]);
        let file = users(&[&good.user, &other]);
        let reply = csv::upload(&api, "/users/bulk", file).await;
        reply.error_naming(409, "line 3");
        reply.error_naming(409, &user["id"].to_string());
        assert_eq!(
            api.get(&rig::path("users", &user))
                .await
                .expect(200)
                .value(),
            user
        );
        // Of two rows of one file, the second is the one that clashes.
        let file = users(&[
            &good.user,
            &other.replacen(&user["id"].to_string(), &FREE.to_string(), 1),
        ]);
        csv::upload(&api, "/users/bulk", file)
            .await
            .error_naming(409, "line 3");

        let refuse_url = async |row: String, status: u16, named: &str| {
            let reply = csv::upload(&api, "/urls/bulk", urls(&[&good.url, &row])).await;
            reply.error_naming(status, "line 3");
            reply.error_naming(status, named);
        };
        let tail = format!("https://example.org,,True,{TIME},{TIME}");
        refuse_url(format!("{},,{name},{tail}", url["id"]), 409, "id").await;
        let code = url["short_code"].as_str().unwrap();
        refuse_url(format!("{},,{code},{tail}", FREE + 1), 409, "short_code").await;
        let mine = good.url.split(',').nth(2).unwrap();
        refuse_url(format!("{},,{mine},{tail}", FREE + 1), 409, "short_code").await;
        refuse_url(
            format!("{},{},{name},{tail}", FREE + 1, FREE + 9),
            400,
            "user_id",
        )
        .await;
        assert_eq!(
            api.get(&rig::path("urls", &url)).await.expect(200).value(),
            url
        );
        // The code of a url that is gone stays its own.
        api.delete(&rig::path("urls", &url)).await.expect(204);
        refuse_url(format!("{},,{code},{tail}", FREE + 1), 409, "short_code").await;

        let row = format!("{},{},,other,{TIME},{{}}", event["id"], event["url_id"]);
        let reply = csv::upload(&api, "/events/bulk", events(&[&good.event, &row])).await;
        reply.error_naming(409, "line 3");
        let kept: Vec<Value> = rig::events_of(&api, &url, Some("created")).await;
        assert_eq!(json!(kept), json!([event]));
        good.assert_absent(&api).await;
    });
}
