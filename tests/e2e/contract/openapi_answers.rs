//! Every place of the document is asked, rightly and wrongly: what is answered is in
//! the document, and what is in the document is answered.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytes::Bytes;
use http::HeaderName;
use http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use serde_json::{Value, json};
use warmlink_tests::openapi::{Document, Place};
use warmlink_tests::raw::Raw;
use warmlink_tests::{Api, Reply, csv, rig, run};

use super::openapi_values;

/// What nobody can ask for here, and where it is asked for.
const ELSEWHERE: [(u16, &str); 5] = [
    (
        408,
        "takes the time of a limit: limits/heads.rs, limits/uploads.rs",
    ),
    (500, "takes a fault that nobody knows of"),
    (502, "takes a component that fails: limits/traps.rs"),
    (
        503,
        "takes a server that is away, or too many requests: contract/health.rs, limits/admission.rs",
    ),
    (504, "takes a component that hangs: limits/deadlines.rs"),
];

const JSON: (HeaderName, &str) = (CONTENT_TYPE, "application/json");
const TEXT: (HeaderName, &str) = (CONTENT_TYPE, "text/plain");

/// An id that nothing has.
const NOBODY: u64 = i64::MAX as u64;

/// A walk through the document.
pub(super) struct Walk {
    pub(super) api: Api,
    pub(super) document: Document,
    seen: RefCell<BTreeSet<(Place, u16)>>,
}

impl Walk {
    /// Asks `method` at `path`, a path of the document, with its parameter in place
    /// and what else is to follow, and checks what is answered.
    #[track_caller]
    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        target: &str,
        headers: &[(HeaderName, &str)],
        body: impl Into<Bytes>,
    ) -> impl Future<Output = Reply> {
        let place = Place {
            method: method.to_owned(),
            path: path.to_owned(),
        };
        async move {
            let method = method.parse().unwrap();
            let reply = self.api.send(method, target, headers, body.into()).await;
            if let Err(problem) = self.document.check_reply(&place, &reply) {
                panic!("{place}, asked for {target}: {problem}");
            }
            self.saw(place, reply.status.as_u16());
            reply
        }
    }

    /// Sends JSON.
    pub(super) async fn send(&self, method: &str, path: &str, target: &str, body: &Value) -> Reply {
        self.ask(method, path, target, &[JSON], body.to_string())
            .await
    }

    async fn get(&self, path: &str, target: &str, status: u16) {
        for method in ["GET", "HEAD"] {
            let reply = self.ask(method, path, target, &[], "").await;
            reply.expect(status);
        }
    }

    fn saw(&self, place: Place, status: u16) {
        self.seen.borrow_mut().insert((place, status));
    }

    /// The example of a JSON body, which has to be as its schema says.
    fn example(&self, method: &str, path: &str) -> Value {
        let (method, path) = (method.to_owned(), path.to_owned());
        let (schema, example) = self.document.body(&Place { path, method }).expect("a body");
        assert_eq!(self.document.check_request(schema, example), Ok(()));
        example.clone()
    }

    /// A user and a url, from their making to their end.
    async fn objects(&self) {
        let user = self.example("POST", "/users");
        let made = self
            .send("POST", "/users", "/users", &user)
            .await
            .expect(201)
            .value();
        self.send("POST", "/users", "/users", &user)
            .await
            .error(409);
        let other = rig::path("users", &rig::a_user(&self.api).await);
        let taken = json!({ "username": user["username"] });
        self.send("PUT", "/users/{id}", &other, &taken)
            .await
            .error(409);

        let new = self.example("POST", "/urls");
        let url = self
            .send("POST", "/urls", "/urls", &new)
            .await
            .expect(201)
            .value();
        for (field, value, status) in [
            ("user_id", json!(NOBODY), 404),
            ("short_code", url["short_code"].clone(), 409),
        ] {
            let mut refused = new.clone();
            refused[field] = value;
            self.send("POST", "/urls", "/urls", &refused)
                .await
                .error(status);
        }
        let mut event = self.example("POST", "/events");
        event["url_id"] = json!(NOBODY);
        self.send("POST", "/events", "/events", &event)
            .await
            .error(404);
        event["url_id"] = url["id"].clone();
        self.send("POST", "/events", "/events", &event)
            .await
            .expect(201);

        self.visits(&rig::visit(&url)).await;
        for (collection, object) in [("users", &made), ("urls", &url)] {
            let path = format!("/{collection}/{{id}}");
            let (there, nowhere) = (
                rig::path(collection, object),
                format!("/{collection}/{NOBODY}"),
            );
            let change = self.example("PUT", &path);
            self.get(&path, &there, 200).await;
            self.get(&path, &nowhere, 404).await;
            self.send("PUT", &path, &there, &change).await.expect(200);
            self.send("PUT", &path, &nowhere, &change).await.error(404);
            self.ask("PUT", &path, &there, &[TEXT], "{}")
                .await
                .error(415);
            self.ask("DELETE", &path, &there, &[], "").await.expect(204);
            self.ask("DELETE", &path, &there, &[], "").await.error(404);
        }
        for path in ["/users", "/urls", "/events"] {
            self.ask("POST", path, path, &[TEXT], "{}").await.error(415);
        }
    }

    async fn visits(&self, visit: &str) {
        for (path, there, nowhere) in [
            ("/{code}", visit.to_owned(), "/no-such-link"),
            (
                "/urls/{code}/redirect",
                format!("/urls{visit}/redirect"),
                "/urls/no-such-link/redirect",
            ),
        ] {
            self.get(path, &there, 302).await;
            self.get(path, nowhere, 404).await;
        }
    }

    async fn files(&self) {
        for path in ["/users/bulk", "/urls/bulk", "/events/bulk"] {
            let place = Place {
                path: path.to_owned(),
                method: "POST".to_owned(),
            };
            let file = self.document.file(&place);
            let other = file.replace("2025-09-19 22", "2025-09-20 22");
            assert_ne!(file, other);
            for (file, status) in [(file, 201), (&other, 409), ("not,a,file", 400)] {
                let (kind, body) = csv::multipart("file", "data.csv", file.as_bytes());
                let kind = [(CONTENT_TYPE, kind.as_str())];
                self.ask("POST", path, path, &kind, body)
                    .await
                    .expect(status);
            }
        }
    }

    async fn service(&self) {
        for path in ["/health", "/metrics", "/openapi.json"] {
            self.get(path, path, 200).await;
        }
        for method in ["GET", "HEAD"] {
            let path = "/openapi.json";
            let known = [(IF_NONE_MATCH, "*")];
            self.ask(method, path, path, &known, "").await.expect(304);
        }
    }

    /// Requests that no component is asked about.
    async fn heads(&self) {
        let failure = json!({ "$ref": "#/components/schemas/Failure" });
        let large = format!("x-large: {}", "x".repeat(40 << 10));
        for (status, line) in [
            (400, "no header"),
            // Of a body that is larger than any place takes, nothing is sent.
            (413, "content-length: 1000000000000"),
            (431, large.as_str()),
        ] {
            for place in self.document.places() {
                if !self.document.statuses(&place).contains(&status) {
                    continue;
                }
                let path = place.path.replace("{id}", "1").replace("{code}", "nobody");
                let head = format!(
                    "{} {path} HTTP/1.1\r\nhost: test\r\n{line}\r\n\r\n",
                    place.method
                );
                let mut raw = Raw::connect(self.api.address()).await;
                // The host may have had enough before all of it is sent.
                let _ = raw.try_send(head.as_bytes()).await;
                assert_eq!(raw.head().await, status, "{place}");
                // What was not understood is not known to be a `HEAD`.
                if place.method != "HEAD" || status != 413 {
                    let body = serde_json::from_slice(&raw.transfer().await.body).unwrap();
                    assert_eq!(
                        self.document.check_request(&failure, &body),
                        Ok(()),
                        "{place}"
                    );
                }
                self.saw(place, status);
            }
        }
    }

    /// What the document promises, and nobody was answered.
    fn unseen(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        let elsewhere = ELSEWHERE.map(|(status, _)| status);
        let mut unseen = Vec::new();
        for place in self.document.places() {
            for status in self.document.statuses(&place) {
                if !elsewhere.contains(&status) && !seen.contains(&(place.clone(), status)) {
                    unseen.push(format!("{place} {status}"));
                }
            }
        }
        unseen
    }
}

#[test]
fn every_answer_is_in_the_document_and_all_that_is_there_is_answered() {
    run(async {
        let (host, _) = rig::application().await;
        let walk = Walk {
            api: host.api(),
            document: Document::source(),
            seen: RefCell::default(),
        };
        walk.service().await;
        walk.objects().await;
        walk.files().await;
        walk.heads().await;
        openapi_values::lists(&walk).await;
        openapi_values::bodies(&walk).await;
        assert_eq!(walk.unseen(), [""; 0], "nobody was answered this");
    });
}
