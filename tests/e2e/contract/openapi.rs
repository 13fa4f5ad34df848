//! The document at `/openapi.json`, held to what is routed and to what is answered.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use http::header::IF_NONE_MATCH;
use warmlink_tests::openapi::Document;
use warmlink_tests::{Manifest, rig, run};

const PATH: &str = "/openapi.json";

#[test]
fn the_document_is_served_and_need_not_be_sent_twice() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let sent = api.get(PATH).await.expect(200);
        assert_eq!(sent.value(), *Document::source().value());
        let tag = sent.header("etag").expect("a tag").to_owned();
        for method in [Method::GET, Method::HEAD] {
            let headers = [(IF_NONE_MATCH, tag.as_str())];
            let known = api.send(method, PATH, &headers, Bytes::new()).await;
            let known = known.expect(304);
            assert!(known.body.is_empty());
            assert_eq!(known.header("etag"), Some(&*tag));
            assert_eq!(known.header("content-length"), None);
        }
        let headers = [(IF_NONE_MATCH, "\"another\"")];
        let other = api.send(Method::GET, PATH, &headers, Bytes::new()).await;
        assert_eq!(other.expect(200).body, sent.body);
        let head = api.head(PATH).await.expect(200);
        assert!(head.body.is_empty());
        assert_eq!(
            head.header("content-length"),
            Some(&*sent.body.len().to_string())
        );
    });
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = Document::source();
    let documented: BTreeSet<String> = document.methods().keys().map(|&path| path.into()).collect();
    let manifest = Manifest::application();
    let parameter = |segment: &str| match segment.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => segment.to_owned(),
    };
    let routes = manifest.routes().into_iter();
    let routes = routes.map(|route| {
        let segments: Vec<String> = route.split('/').map(parameter).collect();
        segments.join("/")
    });
    let routed: BTreeSet<String> = routes.chain(manifest.metrics()).collect();
    assert_eq!(documented, routed);
}

#[test]
fn a_method_that_is_not_in_the_document_is_405_with_those_that_are() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let document = Document::source();
        let names = "GET HEAD POST PUT DELETE PATCH OPTIONS TRACE QUERY PURGE".split(' ');
        let names: Vec<&str> = names.collect();
        for (path, documented) in document.methods() {
            // A method is looked at before the object is looked for.
            let path = path.replace("{id}", "1").replace("{code}", "nobody");
            for name in names.iter().filter(|name| !documented.contains(**name)) {
                let method = name.parse().unwrap();
                let reply = api.send(method, &path, &[], Bytes::new()).await;
                let allow = reply.header("allow").unwrap_or_default();
                let allowed: BTreeSet<String> = allow.split(", ").map(Into::into).collect();
                assert_eq!(allowed, documented, "{name} {path}");
                if *name == "HEAD" {
                    reply.expect(405);
                } else {
                    reply.error(405);
                }
            }
        }
    });
}
