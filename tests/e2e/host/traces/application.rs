//! The application's own requests.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use warmlink_tests::collector::{Answers, Collector, Span};
use warmlink_tests::rig::{self, Application};
use warmlink_tests::services::Wanted;
use warmlink_tests::{Database, Host, HostOptions, Manifest, Reply, eventually, run};

use super::super::SOON;
use super::traced;

async fn application(collector: &Collector) -> Application {
    let database = Database::create().await;
    let valkey = Wanted::default().valkey(&[]).start().await;
    let options = HostOptions::new(Manifest::application())
        .database(database.url())
        .valkey(valkey.valkey_url());
    Application {
        host: Host::start(traced(options, collector)).await,
        database,
        valkey: Some(valkey),
    }
}

/// The one span of these that is called so.
#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    match (found.next(), found.next()) {
        (Some(one), None) => one,
        _ => panic!("not one {name}: {spans:#?}"),
    }
}

#[track_caller]
fn assert_within(inner: &Span, outer: &Span) {
    assert_eq!(inner.parent, outer.id, "{inner:#?} in {outer:#?}");
    assert_eq!(inner.trace, outer.trace);
    assert!(
        outer.begun <= inner.begun && inner.begun <= inner.ended,
        "{inner:#?} in {outer:#?}"
    );
}

/// A visit of a link that the node has in its own memory by now.
async fn a_visit_from_memory(application: &Application, url: &Value) -> Reply {
    let lookups = [("outcome", "hit")];
    let hits = async || {
        let metrics = application.host.metrics().await;
        metrics.sum("warmlink_valkey_near_lookups_total", &lookups)
    };
    eventually("the link is in the node's memory", SOON, || async {
        let before = hits().await;
        let visit = application.api().get(&rig::visit(url)).await.expect(302);
        (hits().await > before).then_some(visit)
    })
    .await
}

/// Of a link that is in the cache: found on the node, its click noted in the stream.
#[test]
fn a_redirect_shows_its_guest_and_its_commands() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let application = application(&collector).await;
        let api = application.api();
        rig::trusted(&application.host).await;
        let url = rig::a_url(&api).await;
        let visit = a_visit_from_memory(&application, &url).await;
        let id = visit.header("x-request-id").unwrap();

        let request = collector
            .span("GET /:code", &[("warmlink.request_id", id)])
            .await;
        assert_eq!(request.kind, SpanKind::Server);
        assert_eq!(request.parent, "");
        assert!(!request.failed);
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.route", "/:code"),
            ("http.response.status_code", "302"),
            ("network.protocol.version", "1.1"),
            ("warmlink.component", "redirect"),
        ] {
            assert_eq!(request.get(key), value, "{request:#?}");
        }
        assert_eq!(request.get("warmlink.revision").len(), 12);
        assert_eq!(request.events, ["admitted"]);
        assert_eq!(request.resource["service.name"], "warmlink");
        assert!(!request.resource["service.instance.id"].is_empty());
        assert!(!request.resource["service.version"].is_empty());

        let spans = collector.trace(&request.trace, 4).await;
        assert_eq!(spans.len(), 4, "{spans:#?}");
        let guest = named(&spans, "guest redirect");
        assert_within(guest, &request);
        assert_eq!(guest.kind, SpanKind::Internal);
        assert_eq!(guest.get("warmlink.component"), "redirect");
        assert_eq!(guest.events, ["started"]);

        let read = named(&spans, "GET");
        assert_within(read, guest);
        assert_eq!(read.kind, SpanKind::Client);
        let (host, port) = authority(&application);
        for (key, value) in [
            ("db.system.name", "redis"),
            ("db.operation.name", "GET"),
            ("db.namespace", "0"),
            ("server.address", host.as_str()),
            ("server.port", port.as_str()),
            ("warmlink.near_cache.hit", "true"),
        ] {
            assert_eq!(read.get(key), value, "{read:#?}");
        }
        assert_within(named(&spans, "XADD"), guest);

        // And what becomes of the click is a trace of its own.
        let delivery = collector.span("ask clicks", &[]).await;
        assert_ne!(delivery.trace, request.trace);
        assert_eq!(delivery.parent, "");
        assert_eq!(delivery.get("http.response.status_code"), "204");
        let spans = collector.trace(&delivery.trace, 3).await;
        let guest = named(&spans, "guest clicks");
        assert_within(guest, &delivery);
        let of_database = |span: &&Span| span.get("db.system.name") == "postgresql";
        let statement = spans.iter().find(of_database).unwrap();
        assert_within(statement, guest);
    });
}

fn authority(application: &Application) -> (String, String) {
    let authority = application.valkey.as_ref().unwrap().valkey_authority();
    let (host, port) = authority.rsplit_once(':').unwrap();
    (host.to_owned(), port.to_owned())
}

#[test]
fn a_create_shows_its_statement_without_what_is_in_it() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let application = application(&collector).await;
        let url = rig::a_url(&application.api()).await;

        let request = collector.span("POST /urls", &[]).await;
        assert_eq!(request.get("http.response.status_code"), "201");
        let spans = collector.trace(&request.trace, 3).await;
        let guest = named(&spans, "guest urls");
        assert_within(guest, &request);
        let statements: Vec<_> = spans
            .iter()
            .filter(|span| span.get("db.system.name") == "postgresql")
            .collect();
        assert!(!statements.is_empty(), "{spans:#?}");
        for statement in &statements {
            assert_within(statement, guest);
            assert_eq!(statement.kind, SpanKind::Client);
            assert_eq!(statement.events, ["connected"]);
            assert_eq!(statement.name, statement.get("db.operation.name"));
            let text = statement.get("db.query.text");
            assert!(text.starts_with(&statement.name[..]), "{statement:#?}");
            let database = application.database.url().rsplit_once('/').unwrap().1;
            assert_eq!(statement.get("db.namespace"), database);
        }
        // It is the one that puts the link there.
        let inserts = |statement: &&&Span| statement.get("db.query.text").contains("INSERT INTO");
        assert!(statements.iter().any(|it| inserts(&it)), "{statements:#?}");

        // Nothing that its user wrote, and nothing that leads to the link.
        let told = format!("{:#?}", collector.spans());
        let code = url["short_code"].as_str().unwrap();
        for secret in [code, "example.com", "nothing@", "postgres://"] {
            assert!(!told.contains(secret), "{secret} is in {told}");
        }
    });
}

/// A name that is taken is no fault of the service's; the statement says so all the same.
#[test]
fn a_statement_that_fails_says_how() {
    run(async {
        let collector = Collector::start(Answers::Taken).await;
        let application = application(&collector).await;
        let api = application.api();
        let user = rig::a_user(&api).await;
        let body = serde_json::json!({ "username": user["username"], "email": "x@example.com" });
        let taken = api.post("/users", &body).await.expect(409);
        let id = taken.header("x-request-id").unwrap();
        let request = collector
            .span("POST /users", &[("warmlink.request_id", id)])
            .await;
        assert_eq!(request.get("http.response.status_code"), "409");
        assert!(!request.failed, "{request:#?}");
        let spans = collector.trace(&request.trace, 3).await;
        let failed: Vec<_> = spans.iter().filter(|span| span.failed).collect();
        assert_eq!(failed.len(), 1, "{spans:#?}");
        assert_eq!(failed[0].get("error.type"), "database", "{failed:#?}");
        assert_eq!(failed[0].get("db.response.status_code"), "23505");
    });
}
