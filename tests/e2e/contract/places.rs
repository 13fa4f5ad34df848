//! Where JSON bodies are taken.

use http::Method;
use serde_json::Value;
use warmlink_tests::{Api, rig, unique};

/// Every place that takes a JSON body, with objects of the test's own.
pub(super) struct Places {
    pub(super) api: Api,
    pub(super) user: Value,
    pub(super) url: Value,
}

impl Places {
    pub(super) async fn new() -> Self {
        let (host, _) = rig::application().await;
        let api = host.api();
        let user = rig::a_user(&api).await;
        let url = rig::a_url_of(&api, &user).await;
        Self { api, user, url }
    }

    pub(super) fn all(&self) -> [(Method, String); 5] {
        [
            (Method::POST, "/users".to_owned()),
            (Method::PUT, rig::path("users", &self.user)),
            (Method::POST, "/urls".to_owned()),
            (Method::PUT, rig::path("urls", &self.url)),
            (Method::POST, "/events".to_owned()),
        ]
    }

    /// A body for each of [`Self::all`] that is right but for one field, whose
    /// JSON is `raw`; each field of the given kind once.
    fn with(&self, kind: &str, raw: &str) -> Vec<(Method, String, &'static str, String)> {
        let [post_user, put_user, post_url, put_url, post_event] = self.all();
        let name = unique::name("body");
        let url = &self.url["id"];
        let target = "\"original_url\":\"https://example.com/body\"";
        let email = format!("\"email\":\"{name}@example.com\"");
        let bodies = [
            (
                "string",
                &post_user,
                "username",
                format!("{{\"username\":{raw},{email}}}"),
            ),
            (
                "string",
                &post_user,
                "email",
                format!("{{\"username\":\"{name}\",\"email\":{raw}}}"),
            ),
            (
                "string",
                &put_user,
                "username",
                format!("{{\"username\":{raw}}}"),
            ),
            ("string", &put_user, "email", format!("{{\"email\":{raw}}}")),
            (
                "string",
                &post_url,
                "original_url",
                format!("{{\"original_url\":{raw}}}"),
            ),
            (
                "string",
                &post_url,
                "title",
                format!("{{{target},\"title\":{raw}}}"),
            ),
            (
                "string",
                &post_url,
                "short_code",
                format!("{{{target},\"short_code\":{raw}}}"),
            ),
            ("string", &put_url, "title", format!("{{\"title\":{raw}}}")),
            (
                "string",
                &put_url,
                "original_url",
                format!("{{\"original_url\":{raw}}}"),
            ),
            (
                "string",
                &post_event,
                "event_type",
                format!("{{\"event_type\":{raw},\"url_id\":{url}}}"),
            ),
            (
                "integer",
                &post_url,
                "user_id",
                format!("{{{target},\"user_id\":{raw}}}"),
            ),
            (
                "integer",
                &post_event,
                "url_id",
                format!("{{\"event_type\":\"note\",\"url_id\":{raw}}}"),
            ),
            (
                "integer",
                &post_event,
                "user_id",
                format!("{{\"event_type\":\"note\",\"url_id\":{url},\"user_id\":{raw}}}"),
            ),
        ];
        bodies
            .into_iter()
            .filter(|(of, ..)| *of == kind)
            .map(|(_, (method, path), field, body)| (method.clone(), path.clone(), field, body))
            .collect()
    }

    /// Every field of this kind is refused with this value.
    pub(super) async fn refuse(&self, kind: &str, raw: &str) {
        for (method, path, field, body) in self.with(kind, raw) {
            let reply = self.api.json(method, &path, body).await;
            reply.error_naming(400, field);
        }
    }

    /// Nothing of what was refused left a trace.
    pub(super) async fn assert_untouched(&self) {
        for (collection, object) in [("users", &self.user), ("urls", &self.url)] {
            let read = self.api.get(&rig::path(collection, object)).await;
            assert_eq!(read.expect(200).value(), *object);
        }
        let events = rig::events_of(&self.api, &self.url, None).await;
        assert_eq!(events.len(), 1, "{events:?}");
    }
}
