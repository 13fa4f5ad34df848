//! Codes that clients choose.

use serde_json::json;
use warmlink_tests::{rig, run, unique};

#[test]
fn a_code_can_be_chosen() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let code = unique::name("my-Own_");
        let body = json!({ "original_url": "https://example.com/own", "short_code": code });
        let url = api.post("/urls", &body).await.expect(201).value();
        assert_eq!(url["short_code"], code);
        let visit = api.get(&format!("/{code}")).await.expect(302);
        assert_eq!(visit.header("location"), Some("https://example.com/own"));
        api.post("/urls", &body)
            .await
            .error_naming(409, "short_code");
        // Case tells codes apart.
        api.get(&format!("/{}", code.to_uppercase()))
            .await
            .error(404);
        // A code once used is never given out again.
        api.delete(&rig::path("urls", &url)).await.expect(204);
        api.post("/urls", &body)
            .await
            .error_naming(409, "short_code");
    });
}

#[test]
fn a_chosen_code_has_three_to_thirty_two_characters() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let longest = "x".repeat(32);
        for code in ["a-_", "Z9z", longest.as_str()] {
            let body = json!({ "original_url": "https://example.com/code", "short_code": code });
            let url = api.post("/urls", &body).await.expect(201).value();
            assert_eq!(url["short_code"], code);
            api.get(&format!("/{code}")).await.expect(302);
            api.get(&format!("/urls/{code}/redirect")).await.expect(302);
        }
    });
}

#[test]
fn a_code_that_cannot_be_is_refused() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for code in [
            "ab",
            "",
            "with space",
            "ünder",
            "a/b",
            "dot.dot",
            &"x".repeat(33),
        ] {
            let body = json!({ "original_url": "https://example.com", "short_code": code });
            api.post("/urls", &body)
                .await
                .error_naming(400, "short_code");
        }
        for code in [json!(123_456), json!(true), json!(["abc"]), json!({})] {
            let body = json!({ "original_url": "https://example.com", "short_code": code });
            api.post("/urls", &body)
                .await
                .error_naming(400, "short_code");
        }
        for code in ["users", "urls", "events", "health", "metrics"] {
            let body = json!({ "original_url": "https://example.com", "short_code": code });
            let reply = api.post("/urls", &body).await;
            assert!(
                matches!(reply.status.as_u16(), 400 | 409),
                "{code}: {}",
                reply.text()
            );
            reply.error_naming(reply.status.as_u16(), "short_code");
        }
    });
}
