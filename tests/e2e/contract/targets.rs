//! What `original_url` may be.

use serde_json::json;
use warmlink_tests::{rig, run};

#[test]
fn a_target_is_stored_and_answered_byte_for_byte() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for target in [
            "https://example.com",
            "http://example.com/",
            "HTTPS://Example.COM/Path",
            "https://example.com:8443/a/../b?x=1&y=%20%2F&z=a+b#frag%23ment",
            "https://user:pass@example.com/",
            "http://127.0.0.1:9000/x",
            "http://[::1]/x",
            "https://example.com/?q=ü&名=值",
            "https://bücher.example/straße",
            "https://example.com//double//slash",
            "https://example.com/?a=%E2%82%AC%zz",
        ] {
            let url = api
                .post("/urls", &json!({ "original_url": target }))
                .await
                .expect(201)
                .value();
            assert_eq!(url["original_url"], target);
            let read = api.get(&rig::path("urls", &url)).await.expect(200).value();
            assert_eq!(read["original_url"], target);
            let visit = api.get(&rig::visit(&url)).await.expect(302);
            let location = visit
                .headers
                .get("location")
                .expect("a visit has a place to go");
            assert_eq!(location.as_bytes(), target.as_bytes(), "{target}");
        }
    });
}

#[test]
fn the_longest_target_fits_and_no_longer_one() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        let base = "https://example.com/";
        let longest = format!("{base}{}", "a".repeat(2048 - base.len()));
        let url = api
            .post("/urls", &json!({ "original_url": longest }))
            .await
            .expect(201)
            .value();
        let visit = api.get(&rig::visit(&url)).await.expect(302);
        assert_eq!(visit.header("location"), Some(longest.as_str()));
        let longer = format!("{longest}a");
        api.post("/urls", &json!({ "original_url": longer }))
            .await
            .error_naming(400, "original_url");
    });
}

#[test]
fn what_is_no_web_address_is_refused() {
    run(async {
        let (host, _) = rig::application().await;
        let api = host.api();
        for target in [
            "",
            "   ",
            "word",
            "example.com",
            "www.example.com/path",
            "/relative",
            "//example.com/scheme-relative",
            "http://",
            "https://",
            "http:///path",
            "https://?q",
            "http:example.com",
            "ftp://example.com/file",
            "javascript:alert(1)",
            "data:text/html,hi",
            "mailto:someone@example.com",
            "file:///etc/passwd",
            "https://exa mple.com/",
            "https://example.com/with space",
            " https://example.com",
            "https://example.com ",
            "https://example.com/\n",
            "https://example.com/\r\nset-cookie: a=b",
            "https://example.com/\t",
            "https://example.com/\u{0}",
            "https://example.com/\u{7f}",
        ] {
            api.post("/urls", &json!({ "original_url": target }))
                .await
                .error_naming(400, "original_url");
        }
        for target in [json!(null), json!(1), json!(true), json!([]), json!({})] {
            api.post("/urls", &json!({ "original_url": target }))
                .await
                .error_naming(400, "original_url");
        }
        api.post("/urls", &json!({}))
            .await
            .error_naming(400, "original_url");
    });
}
