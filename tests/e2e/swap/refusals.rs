//! What is refused, each in its own words, while the old code serves on.

use http::Method;
use http::header::{CONTENT_LENGTH, HeaderName};
use warmlink_tests::raw::Raw;
use warmlink_tests::revisions::named;
use warmlink_tests::{Control, Host, HostOptions, Manifest, control, paths, run};

use super::{LIMITS, metric, name};

const TOKEN: &str = "a token of more than sixteen characters";

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(paths::guest(name)).unwrap()
}

/// A module that does nothing.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// A component that is nothing.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn each_bad_component_is_refused_in_its_own_words() {
    run(async {
        let limits = format!("{LIMITS}\nprobe = \"/body\"\ndeadline = \"500ms\"");
        let manifest = Manifest::several(&[("rev", "revision", &limits)])
            .with_tool("[limits]\ncomponent_size = \"4MiB\"");
        let host = Host::start(HostOptions::new(manifest)).await;
        let control = Control::of(&host);
        let mut truncated = named("cut", "ok");
        truncated.truncate(truncated.len() / 2);
        for (what, bytes, step, words) in [
            (
                "not wasm",
                b"#!/bin/sh\n".to_vec(),
                "compile",
                "not a WebAssembly file",
            ),
            (
                "a core module",
                MODULE.to_vec(),
                "compile",
                "a core module, not a component",
            ),
            (
                "half a file",
                truncated,
                "compile",
                "not a component this host can compile",
            ),
            (
                "no handler",
                EMPTY.to_vec(),
                "verify",
                "exports no HTTP handler",
            ),
            (
                "an ungranted import",
                guest("postgres42"),
                "verify",
                "allowed_outbound_hosts names no host",
            ),
            (
                "a foreign import",
                guest("foreign"),
                "verify",
                "does not provide what it imports",
            ),
            ("a trap at the start", guest("start"), "warm", "unreachable"),
            (
                "a probe never answered",
                named("mute", "hang"),
                "probe",
                "GET /body",
            ),
            (
                "a probe answered with 500",
                named("bad", "fail"),
                "probe",
                "500",
            ),
            (
                "a probe that traps",
                named("trap", "trap"),
                "probe",
                "GET /body",
            ),
        ] {
            let reply = control.try_deploy("rev", bytes, "").await;
            reply.error_naming(422, words);
            let refusal = reply.value();
            assert_eq!(refusal["kind"], "component", "{what}: {refusal}");
            assert_eq!(refusal["step"], step, "{what}: {refusal}");
            assert_eq!(refusal["component"], "rev", "{what}: {refusal}");
            assert_eq!(name(&host.api()).await, "original", "{what}");
            let failures = metric(&host, "warmlink_swap_failures_total", &[("phase", step)]).await;
            assert!(failures > 0.0, "{what}");
        }
        assert_eq!(metric(&host, "warmlink_generation", &[]).await, 1.0);
        // It was not the probe itself.
        control.deploy("rev", named("good", "ok")).await;
        assert_eq!(name(&host.api()).await, "good");
    });
}

#[test]
fn uploads_that_are_too_large_cut_or_altered_are_refused() {
    run(async {
        let manifest = Manifest::several(&[("rev", "revision", LIMITS)])
            .with_tool("[limits]\ncomponent_size = \"1MiB\"");
        let host = Host::start(HostOptions::new(manifest)).await;
        let control = Control::of(&host);
        let large = control.try_deploy("rev", vec![0; (1 << 20) + 1], "").await;
        large.error_naming(413, "component_size");
        assert_eq!(large.value()["kind"], "too_large");

        let altered = named("new", "ok");
        let digest = "0".repeat(64);
        let reply = control
            .try_deploy("rev", altered, &format!("digest={digest}"))
            .await;
        reply.error_naming(400, "not what was announced");
        control
            .try_deploy("rev", Vec::new(), "")
            .await
            .error_naming(400, "empty");

        // Announces more than it sends, and closes its half.
        let mut raw = Raw::connect(host.admin()).await;
        raw.send(
            "POST /v1/components/rev/deploy HTTP/1.1\r\nhost: localhost\r\n\
             content-length: 5000\r\n\r\nonly this much",
        )
        .await;
        raw.close_half().await;
        let transfer = raw.transfer().await;
        assert_eq!(transfer.status, 400);
        let text = String::from_utf8(transfer.body).unwrap();
        assert!(text.contains("ended early, after 14 bytes"), "{text}");
        assert_eq!(name(&host.api()).await, "original");
    });
}

#[test]
fn a_command_names_a_component_that_there_is_and_parameters_that_it_has() {
    run(async {
        let host = super::host("").await;
        let control = Control::of(&host);
        let reply = control.try_deploy("nobody", named("new", "ok"), "").await;
        reply.error_naming(404, "there is no component \"nobody\"; there are rev");
        for verb in ["promote", "rollback"] {
            control
                .command("nobody", verb, "")
                .await
                .error_naming(404, "nobody");
        }
        for (query, words) in [
            ("canary=0", "canary"),
            ("canary=100", "canary"),
            ("canary=ten", "canary"),
            ("digest=abc", "digest"),
            ("weight=5", "weight"),
            ("wait=yes", "wait"),
        ] {
            let reply = control.try_deploy("rev", named("new", "ok"), query).await;
            reply.error_naming(400, words);
        }
        let same = std::fs::read(paths::guest("revision")).unwrap();
        control
            .try_deploy("rev", same, "")
            .await
            .error_naming(409, "serves already");
        let api = host.admin_api();
        api.get("/v1/components/rev/deploy").await.error(405);
        api.get("/v1/nothing").await.error(404);
        assert_eq!(name(&host.api()).await, "original");
    });
}

#[test]
fn with_a_token_commands_need_it_and_probes_do_not() {
    run(async {
        let token = TOKEN.replace(' ', "-");
        let options = HostOptions::new(Manifest::several(&[("rev", "revision", LIMITS)]))
            .env("WARMLINK_ADMIN_TOKEN", &token);
        let host = Host::start(options).await;
        for wrong in [
            None,
            Some("wrong"),
            Some("a-token-of-more-than-sixteen-character"),
        ] {
            let control = Control::at(host.admin(), wrong);
            let reply = control.try_deploy("rev", named("new", "ok"), "").await;
            reply.error_naming(401, "admin token");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            assert!(!reply.text().contains(&token));
        }
        for path in ["/livez", "/readyz", "/metrics", "/table"] {
            host.admin_api().get(path).await.expect(200);
        }
        host.admin_api().get("/v1/status").await.error(401);
        assert_eq!(name(&host.api()).await, "original");
        let control = Control::at(host.admin(), Some(&token));
        control.deploy("rev", named("new", "ok")).await;
        assert_eq!(name(&host.api()).await, "new");
        assert!(!format!("{}", host.log()).contains(&token));
    });
}

#[test]
fn without_a_token_a_web_page_is_not_heard() {
    run(async {
        let host = super::host("").await;
        let origin = HeaderName::from_static("origin");
        let host_name = HeaderName::from_static("host");
        for header in [
            (origin, "http://localhost:3000"),
            (host_name, "evil.example"),
        ] {
            let headers = [header, (CONTENT_LENGTH, "0")];
            let path = "/v1/components/rev/rollback";
            let reply = host
                .admin_api()
                .send(Method::POST, path, &headers, bytes::Bytes::new())
                .await;
            reply.error(403);
            assert_eq!(reply.value()["kind"], "forbidden");
        }
    });
}

#[test]
fn a_rollout_that_was_refused_can_be_tried_again() {
    run(async {
        let host = super::host("probe = \"/body\"").await;
        let control = Control::of(&host);
        for _ in 0..2 {
            let reply = control.try_deploy("rev", named("bad", "fail"), "").await;
            reply.error_naming(422, "500");
        }
        let done = control.deploy("rev", named("good", "ok")).await;
        let again = control
            .try_deploy("rev", named("good", "ok"), "wait=true")
            .await;
        again.error_naming(409, "serves already");
        let other = control
            .try_deploy("rev", named("other", "ok"), "wait=true")
            .await;
        let ended = control::Ended::of(other).done();
        assert!(ended["generation"].as_u64() > done["generation"].as_u64());
    });
}

#[test]
fn a_node_starts_though_its_probe_would_fail() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("bad.wasm");
        std::fs::write(&source, named("bad", "fail")).unwrap();
        let keys = "[component.probe.tool.warmlink]\nprobe = \"/body\"\n";
        let manifest = Manifest::one(&source.to_string_lossy(), keys);
        // A dependency that is away fails probes; there is nothing else to serve.
        let host = Host::start(HostOptions::new(manifest)).await;
        host.api().get("/body").await.expect(500);
        let control = Control::of(&host);
        let reply = control
            .try_deploy("probe", named("worse", "fail"), "")
            .await;
        reply.error_naming(422, "GET /body");
    });
}
