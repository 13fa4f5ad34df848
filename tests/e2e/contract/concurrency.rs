//! Many clients at the same moment.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use warmlink_tests::rig::Application;
use warmlink_tests::seed::{Seed, events_csv};
use warmlink_tests::{Api, Database, Reply, csv, eventually, rig, run, unique};

/// Sorts the answers of requests of which one alone can succeed: that one.
#[track_caller]
fn only_one(replies: Vec<Reply>, status: u16, field: &str) -> Reply {
    let (mut won, lost): (Vec<_>, Vec<_>) = replies
        .into_iter()
        .partition(|reply| reply.status.as_u16() == status);
    assert_eq!(won.len(), 1, "{won:?}");
    for reply in lost {
        reply.error_naming(409, field);
    }
    won.remove(0)
}

#[test]
fn of_fifty_identical_creates_of_a_user_exactly_one_is_made() {
    run(async {
        let (host, database) = rig::application().await;
        let api = host.api();
        let name = unique::name("wanted");
        let body = json!({ "username": name, "email": format!("{name}@example.com") });
        let replies = join_all((0..50).map(|_| api.post("/users", &body))).await;
        let user = only_one(replies, 201, "taken").value();
        let rows = database
            .connect()
            .await
            .query("SELECT id FROM users WHERE username = $1", &[&name])
            .await
            .unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(json!(ids), json!([user["id"]]));
    });
}

#[test]
fn of_fifty_users_that_want_one_name_exactly_one_gets_it() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let users = join_all((0..50).map(|_| rig::a_user(&api))).await;
        let wanted = json!({ "username": unique::name("wanted") });
        let paths: Vec<String> = users.iter().map(|user| rig::path("users", user)).collect();
        let replies = join_all(paths.iter().map(|path| api.put(path, &wanted))).await;
        let winner = only_one(replies, 200, "username").value();
        let after = join_all(paths.iter().map(|path| api.get(path))).await;
        for (before, after) in users.iter().zip(after) {
            let after = after.expect(200).value();
            assert_eq!(
                after,
                if after["id"] == winner["id"] {
                    winner.clone()
                } else {
                    before.clone()
                }
            );
        }
    });
}

#[test]
fn of_fifty_urls_that_want_one_code_exactly_one_gets_it() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let code = unique::name("code");
        let creates = (0..50).map(|number| {
            let (api, code) = (api.clone(), code.clone());
            async move {
                let target = format!("https://example.com/{number}");
                api.post(
                    "/urls",
                    &json!({ "original_url": target, "short_code": code }),
                )
                .await
            }
        });
        let url = only_one(join_all(creates).await, 201, "short_code").value();
        let visit = api.get(&format!("/{code}")).await.expect(302);
        assert_eq!(visit.header("location"), url["original_url"].as_str());
    });
}

#[test]
fn a_thousand_creates_at_once_get_a_thousand_codes() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let body = json!({ "original_url": "https://example.com/same", "user_id": user["id"] });
        let replies = join_all((0..1000).map(|_| api.post("/urls", &body))).await;
        let urls: Vec<Value> = replies
            .into_iter()
            .map(|reply| reply.expect(201).value())
            .collect();
        let distinct = |field: &str| -> BTreeSet<String> {
            urls.iter().map(|url| url[field].to_string()).collect()
        };
        assert_eq!(distinct("short_code").len(), 1000);
        assert_eq!(distinct("id").len(), 1000);
        let path = format!(
            "/events?event_type=created&user_id={}&per_page=1000",
            user["id"]
        );
        assert_eq!(api.get(&path).await.expect(200).list().len(), 1000);
    });
}

/// Uploads a file, and does something else while the merge of its rows is under
/// way: an obstacle in front of the row `last` holds it up until that is over.
async fn during_import<T>(
    (api, database): (&Api, &Database),
    table: &str,
    file: String,
    last: usize,
    meanwhile: impl Future<Output = T>,
) -> (Reply, T) {
    let observer = database.connect().await;
    let obstacle = format!(
        "CREATE OR REPLACE FUNCTION obstacle() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$; \
         CREATE TRIGGER obstacle BEFORE INSERT ON {table} FOR EACH ROW \
         WHEN (NEW.id = {last}) EXECUTE FUNCTION obstacle(); \
         SELECT pg_advisory_lock(1)"
    );
    observer.batch_execute(&obstacle).await.unwrap();
    let import = tokio::spawn({
        let (api, path) = (api.clone(), format!("/{table}/bulk"));
        async move { csv::upload(&api, &path, file).await }
    });
    let waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                   AND objid = 1 AND database = (SELECT oid FROM pg_database \
                                                 WHERE datname = current_database())";
    eventually(
        "the import meets the obstacle",
        Duration::from_secs(20),
        async || observer.query_opt(waiting, &[]).await.unwrap(),
    )
    .await;
    let done = meanwhile.await;
    assert!(!import.is_finished(), "the import did not wait");
    observer
        .batch_execute("SELECT pg_advisory_unlock(1)")
        .await
        .unwrap();
    (import.await.unwrap(), done)
}

/// Distinct, and all beyond a file's last.
#[track_caller]
fn assert_beyond(last: usize, made: &[Value]) {
    let ids: BTreeSet<u64> = made.iter().map(|it| it["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), made.len());
    assert!(
        ids.iter().all(|id| *id > last as u64),
        "not above {last}: {ids:?}"
    );
}

#[test]
fn creates_during_an_import_succeed_and_get_ids_beyond_the_file() {
    run(async {
        let application = Application::start_without_valkey().await;
        let (api, database) = (application.api(), &application.database);
        let seed = Seed::generate(400);

        let creates = join_all((0..50).map(|_| rig::a_user(&api)));
        let (import, made) =
            during_import((&api, database), "users", seed.users_csv(), 400, creates).await;
        assert_eq!(
            import.expect(201).value(),
            json!({ "count": 400, "imported": 400 })
        );
        assert_beyond(400, &made);

        let creates = join_all((0..50).map(|_| rig::a_url(&api)));
        let (import, made) =
            during_import((&api, database), "urls", seed.urls_csv(), 2000, creates).await;
        assert_eq!(
            import.expect(201).value(),
            json!({ "count": 2000, "imported": 2000 })
        );
        assert_beyond(2000, &made);

        // The urls made above have written events: those of the file come after.
        let mut events = seed.events;
        events.iter_mut().for_each(|event| event.id += 1_000_000);
        let last = events.len() + 1_000_000;
        let url = &made[0];
        let visit = rig::visit(url);
        let note = json!({ "event_type": "note", "url_id": url["id"] });
        let meanwhile = async {
            let visits = join_all((0..25).map(|_| api.get(&visit))).await;
            visits.into_iter().for_each(|reply| drop(reply.expect(302)));
            join_all((0..25).map(|_| api.post("/events", &note))).await
        };
        let file = events_csv(&events);
        let (import, posted) =
            during_import((&api, database), "events", file, last, meanwhile).await;
        import.expect(201);
        let posted: Vec<Value> = posted
            .into_iter()
            .map(|it| it.expect(201).value())
            .collect();
        assert_beyond(last, &posted);
        let clicks = rig::events_of(&api, url, Some("click")).await;
        assert_eq!(clicks.len(), 25);
        assert_beyond(last, &clicks);
    });
}

#[test]
fn two_imports_of_one_file_at_once_are_one() {
    run(async {
        let application = Application::start_without_valkey().await;
        let api = application.api();
        let seed = Seed::generate(400);
        for (path, file, rows) in [
            ("/users/bulk", seed.users_csv(), seed.users.len()),
            ("/urls/bulk", seed.urls_csv(), seed.urls.len()),
            ("/events/bulk", seed.events_csv(), seed.events.len()),
        ] {
            let uploads = join_all((0..3).map(|_| csv::upload(&api, path, &file))).await;
            for reply in uploads {
                let counts = json!({ "count": rows, "imported": rows });
                assert_eq!(reply.expect(201).value(), counts);
            }
            let table = path.trim_start_matches('/').trim_end_matches("/bulk");
            let client = application.database.connect().await;
            let row = client
                .query_one(&format!("SELECT count(*) FROM {table}"), &[])
                .await
                .unwrap();
            assert_eq!(row.get::<_, i64>(0), i64::try_from(rows).unwrap());
        }
    });
}
