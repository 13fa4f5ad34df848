//! The three `/bulk` routes: what a file becomes.

use serde_json::{Value, json};
use warmlink_tests::rig::{self, Application};
use warmlink_tests::seed::{Event, Link, Seed, User, out, users_csv};
use warmlink_tests::{Api, csv, run, unique};

/// A user as the API shows it.
fn shown_user(user: &User) -> Value {
    json!({
        "id": user.id, "username": user.username, "email": user.email,
        "created_at": out(&user.created_at),
    })
}

fn shown_url(url: &Link) -> Value {
    json!({
        "id": url.id, "user_id": url.user_id, "short_code": url.short_code,
        "original_url": url.original_url, "title": url.title, "is_active": url.is_active,
        "created_at": out(&url.created_at), "updated_at": out(&url.updated_at),
    })
}

fn shown_event(event: &Event) -> Value {
    json!({
        "id": event.id, "url_id": event.url_id, "user_id": event.user_id,
        "event_type": event.event_type, "timestamp": out(&event.timestamp),
        "details": event.details,
    })
}

async fn imported(api: &Api, path: &str, file: String, rows: usize) {
    let reply = csv::upload(api, path, file).await.expect(201);
    assert_eq!(reply.value(), json!({ "count": rows, "imported": rows }));
}

async fn import_all(api: &Api, seed: &Seed) {
    imported(api, "/users/bulk", seed.users_csv(), seed.users.len()).await;
    imported(api, "/urls/bulk", seed.urls_csv(), seed.urls.len()).await;
    imported(api, "/events/bulk", seed.events_csv(), seed.events.len()).await;
}

async fn everything(api: &Api) -> [Vec<Value>; 3] {
    let list = async |path: &str| {
        api.get(&format!("{path}?per_page=1000"))
            .await
            .expect(200)
            .list()
    };
    [
        list("/users").await,
        list("/urls").await,
        list("/events").await,
    ]
}

#[test]
fn files_are_imported_whole_and_numbering_goes_on_behind_them() {
    run(async {
        let application = Application::start().await;
        let api = application.api();
        let seed = Seed::generate(40);
        // Nobody remembers that there was nothing at a code before.
        for url in &seed.urls[..10] {
            api.get(&format!("/{}", url.short_code)).await.error(404);
        }
        import_all(&api, &seed).await;
        let files = [
            seed.users.iter().map(shown_user).collect::<Vec<_>>(),
            seed.urls.iter().map(shown_url).collect(),
            seed.events.iter().map(shown_event).collect(),
        ];
        assert_eq!(everything(&api).await, files);

        // The same files again are no error, and change nothing.
        import_all(&api, &seed).await;
        assert_eq!(everything(&api).await, files);

        assert_eq!(rig::a_user(&api).await["id"], 41);
        assert_eq!(rig::a_url(&api).await["id"], 201);
        let events = seed.events.len() as u64;
        let body = json!({ "event_type": "note", "url_id": 1 });
        // One for the url's making before it.
        assert_eq!(
            api.post("/events", &body).await.expect(201).value()["id"],
            events + 2
        );

        // Nor do they set the numbering back.
        import_all(&api, &seed).await;
        assert_eq!(rig::a_user(&api).await["id"], 42);
        assert_eq!(rig::a_url(&api).await["id"], 202);

        for url in &seed.urls[..10] {
            let visit = api.get(&format!("/{}", url.short_code)).await;
            if url.is_active {
                assert_eq!(
                    visit.expect(302).header("location"),
                    Some(url.original_url.as_str())
                );
            } else {
                visit.error(404);
            }
        }
    });
}

#[test]
fn a_name_that_a_file_repeats_is_free_when_all_its_holders_let_go() {
    run(async {
        let application = Application::start_without_valkey().await;
        let api = application.api();
        let seed = Seed::generate(40);
        let rows = seed.users.len();
        imported(&api, "/users/bulk", seed.users_csv(), rows).await;
        // Once more: nobody holds a name twice.
        imported(&api, "/users/bulk", seed.users_csv(), rows).await;
        let repeated = &seed.users[3];
        assert_eq!(repeated.username, seed.users[8].username);
        assert_eq!(repeated.username, seed.users[15].username);
        assert_eq!(repeated.email, seed.users[15].email);
        for user in [3, 8, 15].map(|index: usize| &seed.users[index]) {
            let read = api
                .get(&format!("/users/{}", user.id))
                .await
                .expect(200)
                .value();
            assert_eq!(read, shown_user(user));
        }
        let of_name = json!({ "username": repeated.username, "email": "fresh@example.com" });
        let of_email = json!({ "username": "fresh", "email": repeated.email });
        let rest = json!({ "username": repeated.username });
        api.post("/users", &of_name)
            .await
            .error_naming(409, "username");
        api.post("/users", &of_email)
            .await
            .error_naming(409, "email");
        // A holder may say again what it is called; another may not take it.
        api.put(&format!("/users/{}", repeated.id), &rest)
            .await
            .expect(200);
        api.put("/users/1", &rest)
            .await
            .error_naming(409, "username");

        let renamed = json!({ "username": "renamed" });
        api.put(&format!("/users/{}", repeated.id), &renamed)
            .await
            .expect(200);
        api.post("/users", &of_name)
            .await
            .error_naming(409, "username");
        api.delete(&format!("/users/{}", seed.users[15].id))
            .await
            .expect(204);
        api.post("/users", &of_name)
            .await
            .error_naming(409, "username");
        api.post("/users", &of_email)
            .await
            .error_naming(409, "email");
        let moved = json!({ "email": "moved@example.com" });
        api.put(&format!("/users/{}", repeated.id), &moved)
            .await
            .expect(200);
        api.post("/users", &of_email).await.expect(201);
        api.delete(&format!("/users/{}", seed.users[8].id))
            .await
            .expect(204);
        api.post("/users", &of_name).await.expect(201);
        // What was changed since is other content now.
        let again = csv::upload(&api, "/users/bulk", seed.users_csv()).await;
        again.error_naming(409, "line 5");
    });
}

#[test]
fn a_file_may_come_from_any_system() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let row = |extra: &str| {
            let field = |name: &str| user[name].as_str().unwrap().to_owned();
            let time = field("created_at").replacen('T', " ", 1);
            format!(
                "{},{},{},{time}{extra}",
                user["id"],
                field("username"),
                field("email")
            )
        };
        let header = "id,username,email,created_at";
        for (file, rows) in [
            (format!("{header}\n"), 0),
            (header.to_owned(), 0),
            (format!("{header}\n{}", row("")), 1),
            (format!("{header}\r\n{}\r\n", row("")), 1),
            (format!("\u{feff}{header}\n{}\n", row("")), 1),
            (format!("{header}\n\n{}\n\n{}\n\n", row(""), row("")), 2),
            (
                format!("\"id\",\"username\",email,\"created_at\"\n{}\n", row("")),
                1,
            ),
        ] {
            imported(&api, "/users/bulk", file, rows).await;
        }
        assert_eq!(
            api.get(&rig::path("users", &user))
                .await
                .expect(200)
                .value(),
            user
        );
    });
}

#[test]
fn text_in_a_file_comes_back_as_it_was() {
    run(async {
        let application = Application::start_without_valkey().await;
        let api = application.api();
        let names = [
            "Zoë \"Zed\" O'Neil",
            "comma, and more",
            "two\nlines",
            "名前 🦀",
            "=1+1",
            "  kept  ",
        ];
        let users: Vec<User> = (1..)
            .zip(names)
            .map(|(id, name)| User {
                id,
                username: name.to_owned(),
                email: format!("{}@example.com", unique::name("text")),
                created_at: "2024-02-29 23:59:59".to_owned(),
            })
            .collect();
        imported(&api, "/users/bulk", users_csv(&users), users.len()).await;
        let list = api.get("/users").await.expect(200).list();
        assert_eq!(list, users.iter().map(shown_user).collect::<Vec<_>>());
        // Empty fields of a url are null.
        let header = warmlink_tests::seed::URLS_HEADER;
        let time = "2024-01-01 00:00:00";
        let file = format!("{header}\n1,,abc123,https://example.com,,TRUE,{time},{time}\n");
        imported(&api, "/urls/bulk", file, 1).await;
        let url = api.get("/urls/1").await.expect(200).value();
        assert!(url["user_id"].is_null() && url["title"].is_null(), "{url}");
        assert_eq!(url["is_active"], true);
    });
}
