//! How many connections there may be.

use warmlink_tests::raw::Raw;
use warmlink_tests::run;

use super::{lone, until_connections};

#[test]
fn beyond_the_limit_a_connection_waits_for_another_to_end() {
    run(async {
        let host = lone("", "connections = 2").await;
        let get = "GET /it/status/204 HTTP/1.1\r\nhost: test\r\n\r\n";
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut raw = Raw::connect(host.public()).await;
            raw.send(get).await;
            assert_eq!(raw.response().await.status, 204);
            open.push(raw);
        }
        let mut third = Raw::connect(host.public()).await;
        third.send(get).await;
        // The two go on as before, with the third at the door.
        for raw in &mut open {
            raw.send(get).await;
            assert_eq!(raw.response().await.status, 204);
        }
        let accepted = async || host.metrics().await.sum("warmlink_accepted_total", &[]);
        assert_eq!(accepted().await, Some(2.0));
        drop(open.pop());
        assert_eq!(third.response().await.status, 204);
        assert_eq!(accepted().await, Some(3.0));
        until_connections(&host, 2.0).await;
    });
}

#[test]
fn a_connection_counts_until_it_ends_whichever_way() {
    run(async {
        let host = lone("", "").await;
        let polite = Raw::get(host.public(), "/it/status/204").await;
        let rude = Raw::connect(host.public()).await;
        let silent = Raw::connect(host.public()).await;
        until_connections(&host, 3.0).await;
        drop(polite);
        rude.abort();
        drop(silent);
        until_connections(&host, 0.0).await;
        assert_eq!(
            host.metrics().await.sum("warmlink_accepted_total", &[]),
            Some(3.0)
        );
    });
}
