//! Deploying, going back, and the list of what there is to go back to.

use serde_json::Value;
use warmlink_tests::control::Ended;
use warmlink_tests::revisions::named;
use warmlink_tests::{Control, Host, HostOptions, Manifest, run};

use super::{LIMITS, canary, host, metric, name, until_component};

#[test]
fn what_is_deployed_serves_when_the_command_returns() {
    run(async {
        // Nothing was compiled before.
        let options = HostOptions::new(Manifest::several(&[("rev", "revision", LIMITS)]))
            .env("WARMLINK_CACHE", "cache");
        let host = Host::start(options).await;
        let control = Control::of(&host);
        assert_eq!(name(&host.api()).await, "original");
        for number in 0..5 {
            let wanted = format!("n{number}");
            let done = control.deploy("rev", named(&wanted, "ok")).await;
            assert_eq!(name(&host.api()).await, wanted);
            assert_eq!(done["component"], "rev");
            assert_eq!(done["revision"].as_str().unwrap().len(), 64);
            assert!(done["seconds"].as_f64().unwrap() < 10.0, "{done}");
            let status = control.status().await;
            assert_eq!(status["generation"], done["generation"]);
            assert_eq!(status["control"]["shared"], false, "{status}");
        }
        assert_eq!(metric(&host, "warmlink_generation", &[]).await, 6.0);
        let phases = ["read", "compile", "verify", "configure", "warm", "publish"];
        for phase in phases {
            let labels = [("phase", phase)];
            let count = metric(&host, "warmlink_swap_seconds_count", &labels).await;
            assert!(count > 0.0, "{phase}");
        }
    });
}

#[test]
fn going_back_goes_step_by_step_to_what_the_manifest_says() {
    run(async {
        let host = host("").await;
        let control = Control::of(&host);
        control.deploy("rev", named("one", "ok")).await;
        control.deploy("rev", named("two", "ok")).await;
        for wanted in ["one", "original"] {
            let reply = control.command("rev", "rollback", "").await;
            Ended::of(reply).done();
            assert_eq!(name(&host.api()).await, wanted);
        }
        let reply = control.command("rev", "rollback", "").await;
        reply.error_naming(409, "no earlier revision");
        assert!(
            control.component("rev").await["from_manifest"]
                .as_bool()
                .unwrap()
        );
    });
}

#[test]
fn a_revision_is_gone_back_to_by_the_beginning_of_its_name() {
    run(async {
        let host = host("").await;
        let control = Control::of(&host);
        let one = control.deploy("rev", named("one", "ok")).await;
        control.deploy("rev", named("two", "ok")).await;
        control.deploy("rev", named("three", "ok")).await;
        let digest = one["revision"].as_str().unwrap();
        let query = format!("revision={}", &digest[..10].to_uppercase());
        Ended::of(control.command("rev", "rollback", &query).await).done();
        assert_eq!(name(&host.api()).await, "one");
        let again = control.command("rev", "rollback", &query).await;
        again.error_naming(409, "serves already");
        for (query, status, text) in [
            ("revision=ab", 400, "hexadecimal digits"),
            ("revision=zzzzzzzz", 400, "hexadecimal digits"),
            ("revision=0000000000000000", 404, "no revision"),
        ] {
            let reply = control.command("rev", "rollback", query).await;
            reply.error_naming(status, text);
        }
        assert_eq!(name(&host.api()).await, "one");
    });
}

#[test]
fn revisions_are_listed_and_the_oldest_are_forgotten() {
    run(async {
        let manifest =
            Manifest::several(&[("rev", "revision", "")]).with_tool("[limits]\nkept_revisions = 3");
        let host = Host::start(HostOptions::new(manifest)).await;
        let control = Control::of(&host);
        let mut digests = Vec::new();
        for number in 0..5 {
            let query = format!("note=the%20{number}th");
            let bytes = named(&format!("n{number}"), "ok");
            let done = Ended::of(control.try_deploy("rev", bytes, &query).await).done();
            digests.push(done["revision"].clone());
        }
        let rows = control.revisions("rev").await;
        let states: Vec<_> = rows.iter().map(|row| row["state"].clone()).collect();
        let kept: Vec<_> = rows.iter().map(|row| &row["revision"]).collect();
        // The newest three deployed, the three before the active one, and the
        // manifest's.
        assert_eq!(
            kept[..3],
            [&digests[4], &digests[3], &digests[2]],
            "{rows:#?}"
        );
        assert_eq!(states[..3], ["active", "previous", "kept"], "{rows:#?}");
        assert!(!kept.contains(&&digests[0]), "{rows:#?}");
        assert_eq!(rows[0]["note"], "the 4th");
        assert!(rows[0]["bytes"].as_u64().unwrap() > 1000);
        assert!(rows[0]["deployed"].as_str().unwrap().ends_with('Z'));
        let last = rows.last().unwrap();
        assert_eq!(last["from_manifest"], true, "{rows:#?}");
        assert_eq!(last["bytes"], Value::Null, "{rows:#?}");
    });
}

#[test]
fn a_canary_is_promoted_or_called_off() {
    run(async {
        let host = host("").await;
        let control = Control::of(&host);
        let reply = control.command("rev", "promote", "").await;
        reply.error_naming(409, "no canary");

        canary(&control, "one", "ok", "50").await;
        Ended::of(control.command("rev", "promote", "").await).done();
        for _ in 0..20 {
            assert_eq!(name(&host.api()).await, "one");
        }
        canary(&control, "two", "ok", "50").await;
        let status = control.component("rev").await;
        assert_eq!(status["canary"]["percent"], 50.0, "{status}");
        Ended::of(control.command("rev", "rollback", "").await).done();
        for _ in 0..20 {
            assert_eq!(name(&host.api()).await, "one");
        }
        let called_off = until_component(&control, "no canary", |it| it["canary"].is_null()).await;
        assert_eq!(called_off["last_verdict"], Value::Null);
        // What was active before the canary was is what is gone back to.
        Ended::of(control.command("rev", "rollback", "").await).done();
        assert_eq!(name(&host.api()).await, "original");
    });
}
