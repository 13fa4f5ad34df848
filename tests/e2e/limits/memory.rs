//! What an instance may take of the host.

use futures::future::join_all;
use warmlink_tests::{Host, HostOptions, Manifest, revisions, run};

use super::{assert_failure, instance, lone, of_component, shared};

#[test]
fn a_guest_gets_the_memory_it_may_have_and_is_refused_more() {
    run(async {
        let host = shared().await;
        let given = async |component: &str| {
            let reply = host
                .api()
                .get(&format!("/{component}/grow?mib=40"))
                .await
                .expect(200);
            reply.value()["given"].as_u64().unwrap()
        };
        assert_eq!(given("usual-memory").await, 40);
        let little = given("small-memory").await;
        assert!((1..8).contains(&little), "{little} MiB of 8");
    });
}

#[test]
fn a_table_grows_to_its_limit_and_no_further() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("growing.wasm");
        std::fs::write(&file, revisions::growing()).unwrap();
        let source = file.to_str().unwrap();
        let manifest = Manifest::several(&[
            ("usual", source, ""),
            ("large", source, "table_elements = 40000"),
        ]);
        let host = Host::start(HostOptions::new(manifest)).await;
        let grown = async |component: &str, n: u32| {
            let path = format!("/{component}/grow-table?n={n}");
            let reply = host.api().get(&path).await.expect(200).value();
            reply["before"].as_i64().unwrap() >= 0
        };
        assert!(grown("usual", 10_000).await);
        assert!(!grown("usual", 20_000).await, "beyond the default");
        assert!(grown("large", 20_000).await);
        assert!(!grown("large", 40_000).await);
    });
}

#[test]
fn a_guest_that_cannot_do_without_more_memory_fails_alone() {
    run(async {
        let host = lone("cpu = \"10s\"\nmemory = \"8MiB\"\nreuse = 100", "").await;
        let api = host.api();
        for _ in 0..5 {
            assert_failure(&api.get("/it/exhaust").await, 502, "trapped");
            let (_, begun) = instance(&api.get("/it/instance").await.expect(200));
            assert_eq!(begun, 1, "the instance that failed is gone");
        }
    });
}

#[test]
fn a_guest_with_too_many_handles_fails_alone() {
    run(async {
        let host = shared().await;
        let api = host.api();
        let held = api
            .get("/few-handles/handles?n=20")
            .await
            .expect(200)
            .value();
        assert_eq!(held["held"], 20);
        assert_failure(&api.get("/few-handles/handles?n=200").await, 502, "trapped");
        api.get("/plain/handles?n=200").await.expect(200);
    });
}

#[test]
fn memory_that_was_taken_is_given_back() {
    run(async {
        let host = lone("cpu = \"10s\"\nmemory = \"128MiB\"", "").await;
        let api = host.api();
        let grow = async || api.get("/it/grow?mib=64").await.expect(200);
        grow().await;
        let before = host.resident_bytes();
        for _ in 0..10 {
            grow().await;
        }
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(
            grown < 96 << 20,
            "{grown} bytes more after ten guests of 64 MiB"
        );
    });
}

/// One component asks for all there is, by many instances; what is kept for the others
/// is theirs all the same.
#[test]
fn no_component_takes_the_memory_of_the_node() {
    run(async {
        let greedy = "memory = \"40MiB\"\ncpu = \"20s\"\nreuse = 100\nidle = \"1h\"";
        let manifest = Manifest::several(&[("greedy", "http", greedy), ("other", "http", "")]);
        let options = HostOptions::new(manifest).env("WARMLINK_MEMORY", "160MiB");
        let host = Host::start(options).await;
        // At once: each in an instance of its own, which keeps what it has grown to. For
        // some there is not even that.
        let asked = (0..12).map(|_| {
            let api = host.api();
            async move { api.get("/greedy/grow?mib=30").await }
        });
        let mut given = 0;
        for reply in join_all(asked).await {
            match reply.status.as_u16() {
                200 => given += reply.value()["given"].as_u64().unwrap(),
                _ => assert_failure(&reply, 503, "instantiation"),
            }
        }
        let held = of_component(&host, "instance_memory_bytes", "greedy").await;
        let most = f64::from(120 << 20);
        assert!(held <= most, "{held} bytes of {most}");
        assert!(given > 0, "nothing was given");
        let refused = of_component(&host, "memory_refused_total", "greedy").await;
        assert!(refused >= 1.0, "12 instances had {given} MiB");
        // The other has its share, 20 MiB, whatever is left.
        let other = host.api().get("/other/grow?mib=10").await.expect(200);
        assert_eq!(other.value()["given"], 10);
        let scrape = host.metrics().await;
        let limit = scrape.sum("warmlink_instance_memory_limit_bytes", &[]);
        assert_eq!(limit, Some(f64::from(160 << 20)));
    });
}
