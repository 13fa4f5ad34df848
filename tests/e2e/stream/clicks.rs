//! A click by the stream is the same click as one by the database.

use http::Method;
use http::header::{HeaderName, REFERER, USER_AGENT};
use serde_json::json;
use warmlink_tests::rig::{self, Application};
use warmlink_tests::{eventually, run};

use super::{SOON, drained, metric, valkey};

#[test]
fn a_click_by_the_stream_is_listed_at_once_and_tells_the_same() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        let headers: [(HeaderName, &str); 2] = [
            (REFERER, "https://example.org/from?x=\"1\"&ü"),
            (USER_AGENT, "probe/1.0 (tests)"),
        ];
        // By the database first, which fills the cache; then by the stream.
        for visits in 1..=5 {
            api.send(Method::GET, &rig::visit(&url), &headers, Vec::new().into())
                .await
                .expect(302);
            let clicks = rig::events_of(&api, &url, Some("click")).await;
            assert_eq!(clicks.len(), visits);
        }
        let taken = metric(&application.host, "entries_total", &[]).await;
        assert_eq!(taken, 4.0, "all but the first went by the stream");
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        let (first, rest) = clicks.split_first().unwrap();
        for click in rest {
            for field in ["url_id", "user_id", "event_type", "details"] {
                assert_eq!(click[field], first[field], "{field}");
            }
            crate::contract::assert_time(&click["timestamp"]);
        }
        assert_eq!(first["user_id"], user["id"]);
        // The clock of the hosts, not a second late or early.
        let client = application.database.connect().await;
        let sql = "SELECT max(abs(extract(epoch FROM timestamp - (now() AT TIME ZONE 'UTC')))) \
                   ::float8 FROM events WHERE event_type = 'click'";
        let off: f64 = client.query_one(sql, &[]).await.unwrap().get(0);
        assert!(off < 30.0, "{off} seconds off");
    });
}

#[test]
fn the_time_of_a_click_is_when_it_was_made_not_when_it_was_recorded() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let url = rig::a_url(&api).await;
        let mut valkey = valkey(application.valkey.as_ref().unwrap().valkey_url()).await;
        // 2025-09-19T22:25:05.999Z: whole seconds, never rounded up.
        let click = format!(
            "{:08x}-{:04x}-7000-8000-000000000001",
            1_758_320_705_999_u64 >> 16,
            1_758_320_705_999_u64 & 0xffff
        );
        for _ in 0..2 {
            let mut append = redis::cmd("XADD");
            append.arg("clicks").arg("*");
            append.arg("c").arg(&click).arg("u").arg(url["id"].as_u64());
            append.arg("d").arg(r#"{"b":1,  "a":2}"#);
            let _: String = append.query_async(&mut valkey).await.unwrap();
        }
        // Of a url that nobody knows any more.
        let mut append = redis::cmd("XADD");
        append.arg("clicks").arg("*");
        append
            .arg("c")
            .arg(click.replace("0001", "0002"))
            .arg("u")
            .arg(987_654_321);
        append.arg("d").arg("{}");
        let _: String = append.query_async(&mut valkey).await.unwrap();
        let clicks = rig::events_of(&api, &url, Some("click")).await;
        assert_eq!(clicks.len(), 1, "one, however often it is in the stream");
        assert_eq!(clicks[0]["timestamp"], "2025-09-19T22:25:05");
        assert_eq!(clicks[0]["details"], json!({ "b": 1, "a": 2 }));
        let gone = api.get("/events?url_id=987654321").await.expect(200).list();
        assert_eq!(gone.len(), 1);
        assert!(gone[0]["user_id"].is_null());
        drained(&valkey).await;
    });
}

#[test]
fn a_node_without_valkey_has_no_stream_and_says_nothing_of_it() {
    run(async {
        let application = Application::start_without_valkey().await;
        let api = application.api();
        let url = rig::a_url(&api).await;
        for visits in 1..=3 {
            api.get(&rig::visit(&url)).await.expect(302);
            let clicks = rig::events_of(&api, &url, Some("click")).await;
            assert_eq!(clicks.len(), visits);
        }
        let scrape = application.host.metrics().await;
        assert_eq!(scrape.sum("warmlink_stream_entries_total", &[]), None);
        assert_eq!(scrape.sum("warmlink_repairs_total", &[]), None);
    });
}

#[test]
fn private_components_are_not_reached_from_outside() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        eventually("they serve", SOON, || async {
            let table = host.admin_api().get("/table").await.expect(200).text();
            (table.contains("clicks") && table.contains("repair")).then_some(())
        })
        .await;
        api.post("/", &json!([])).await.expect(404);
        api.post("/clicks", &json!([])).await.expect(405);
        api.post("/repair", &json!({ "all": true }))
            .await
            .expect(405);
    });
}
