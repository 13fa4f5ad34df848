//! A process that may open no more files.

use std::time::Duration;

use futures::future::join_all;
use warmlink_tests::metrics::Scrape;
use warmlink_tests::raw::Raw;
use warmlink_tests::{Api, Host, eventually, process, run};

use crate::host::{SOON, plain};

const GET: &str = "GET /status/204 HTTP/1.1\r\nhost: test\r\n\r\n";

/// Over a connection that there is: no other is to be had.
async fn accept_errors(admin: &Api) -> f64 {
    let text = admin.get("/metrics").await.expect(200).text();
    let errors = Scrape::parse(&text).sum("warmlink_accept_errors_total", &[]);
    errors.unwrap_or_default()
}

#[test]
fn without_descriptors_those_inside_are_served_and_who_waits_is_served_later() {
    run(async {
        let host = Host::start(plain()).await;
        let admin = host.admin_api();
        assert_eq!(accept_errors(&admin).await, 0.0);
        let mut inside = Raw::connect(host.public()).await;
        inside.send(GET).await;
        assert_eq!(inside.response().await.status, 204);

        let (now, at_most) = process::descriptor_limits(host.pid());
        let few = host.open_files() as u64 + 3;
        assert!(process::limit_descriptors(host.pid(), few, at_most));
        let mut waiting = Vec::new();
        while accept_errors(&admin).await == 0.0 {
            assert!(waiting.len() < 100, "all of them were accepted");
            waiting.push(Raw::connect(host.public()).await);
        }

        let before = accept_errors(&admin).await;
        let worked = process::cpu_time(host.pid());
        let second = Duration::from_secs(1);
        tokio::time::sleep(second).await;
        let worked = process::cpu_time(host.pid()) - worked;
        let tried = accept_errors(&admin).await - before;
        println!("without descriptors: {tried} tries and {worked:?} of work in a second");
        assert!(worked < second / 4, "{worked:?} of work in a second");
        assert!(tried < 100.0, "{tried} tries in a second");
        // The log is not filled with them: one line a second, and perhaps one before.
        let lines = host.log().lines();
        let told = lines.iter().filter(|line| line.contains("accept failed"));
        let (told, tried) = (told.count(), accept_errors(&admin).await);
        assert!((1..=4).contains(&told), "{told} lines of {tried} tries");
        assert!(tried > 8.0, "{tried} tries");

        // Whoever is inside notices nothing.
        inside.send(GET).await;
        assert_eq!(inside.response().await.status, 204);

        assert!(process::limit_descriptors(host.pid(), now, at_most));
        let answers = waiting.into_iter().map(async |mut raw| {
            raw.send(GET).await;
            raw.response().await.status
        });
        let answers = join_all(answers).await;
        assert!(answers.iter().all(|status| *status == 204), "{answers:?}");
        host.api().get("/status/204").await.expect(204);
        // And of the admin port, whose clients wait alike.
        eventually("the host is ready", SOON, || async {
            let ready = host.admin_api().get("/readyz").await;
            (ready.status == 200).then_some(())
        })
        .await;
    });
}
