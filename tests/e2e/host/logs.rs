use serde_json::Value;
use warmlink_tests::{Host, run};

use super::{plain, until_logged};

#[test]
fn where_no_terminal_is_every_line_is_an_object() {
    run(async {
        let mut host = Host::start(plain()).await;
        for path in [
            "/echo",
            "/trap",
            "/panic",
            "/say?text=two%20words",
            "/nothing",
        ] {
            host.api().get(path).await;
        }
        host.terminate().await;
        let lines = host.log().lines();
        let lines: Vec<_> = lines
            .iter()
            .filter(|line| !line.starts_with("[stdout]"))
            .collect();
        assert!(lines.len() >= 3, "{lines:?}");
        for line in lines {
            let value: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(value["timestamp"].is_string(), "{line}");
            assert!(value["level"].is_string(), "{line}");
            assert!(value["message"].is_string(), "{line}");
        }
    });
}

#[test]
fn what_a_guest_writes_is_logged_under_its_name() {
    run(async {
        let host = Host::start(plain()).await;
        host.api().get("/say?text=hello").await.expect(200);
        for (stream, text) in [("stdout", "out hello"), ("stderr", "err hello")] {
            let line = until_logged(&host, &[text]).await;
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["component"], "probe", "{line}");
            assert_eq!(value["stream"], stream, "{line}");
            assert_eq!(value["message"], text, "{line}");
        }
    });
}

#[test]
fn a_trap_is_explained_in_the_log() {
    run(async {
        let host = Host::start(plain()).await;
        host.api().get("/trap").await.error(502);
        let line = until_logged(&host, &["instance ended", "unreachable"]).await;
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["component"], "probe", "{line}");
        assert!(value["revision"].is_string(), "{line}");
        // And what the guest itself said of it.
        host.api().get("/panic").await.error(502);
        until_logged(&host, &["as the path says"]).await;
    });
}
