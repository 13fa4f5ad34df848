use super::*;
use crate::cli::remote::fake::{End, Fake};
use crate::cli::remote::trouble::Begun;
use crate::cli::upload;
use crate::control::{Refusal, RefusalKind};
use std::future::pending;
use std::time::Duration;

const PREPARING: &str =
    "{\"event\":\"progress\",\"phase\":\"proposed\",\"nodes\":{\"a\":true,\"b\":false}}\n";
const DONE: &str = "{\"event\":\"done\",\"component\":\"redirect\",\"revision\":\"3fa2c1d0a9b177\",\
                    \"generation\":7,\"seconds\":0.4249,\"nodes\":{\"a\":true,\"b\":true}}\n";
const FAILED: &str = "{\"event\":\"failed\",\"kind\":\"refused\",\"error\":\"b: it trapped\",\
                      \"component\":\"redirect\"}\n";

fn order() -> Order {
    Order {
        path: "/v1/components/redirect/promote?wait=true".into(),
        component: None,
    }
}

async fn against(fake: &Fake) -> Result<Outcome, Trouble> {
    carry_out(&fake.node(), order(), pending()).await
}

#[tokio::test]
async fn a_rollout_is_followed_to_its_end() {
    // However the lines are cut on their way, and whatever follows the end.
    let (one, other) = DONE.split_at(20);
    let parts = [PREPARING, "\n", one, other, "what follows"];
    let fake = Fake::answer(200, &parts, End::Hangs).await;
    let outcome = against(&fake).await.unwrap();
    assert_eq!(
        sentence(&outcome),
        "redirect 3fa2c1d0a9b1 live on 2 nodes in 0.42 s (generation 7)"
    );
    let (head, body) = fake.asked();
    assert_eq!(head.uri, "/v1/components/redirect/promote?wait=true");
    assert_eq!(head.headers["authorization"], "Bearer s3cret");
    assert!(body.is_empty());
}

#[tokio::test]
async fn a_file_is_sent_with_its_length_and_type() {
    let bytes = "\0asm".repeat(50_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let fake = Fake::answer(200, &[DONE], End::Whole).await;
    let order = Order {
        component: Some(upload::open(file.path()).await.unwrap()),
        ..order()
    };
    carry_out(&fake.node(), order, pending()).await.unwrap();
    let (head, body) = fake.asked();
    assert_eq!(head.headers["content-type"], "application/wasm");
    assert_eq!(head.headers["content-length"], "200000");
    assert_eq!(body, bytes);
}

#[tokio::test]
async fn a_rollout_that_fails_has_the_code_of_its_reason() {
    let fake = Fake::answer(200, &[PREPARING, FAILED], End::Whole).await;
    let trouble = against(&fake).await.unwrap_err();
    assert_eq!(trouble.code(), 76);
    assert_eq!(trouble.to_string(), "redirect: b: it trapped");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_end() {
    for end in [End::Cut, End::Whole] {
        let fake = Fake::answer(200, &[PREPARING, &DONE[..30]], end).await;
        let trouble = against(&fake).await.unwrap_err();
        assert_eq!(trouble.code(), 74);
        let said = trouble.to_string();
        assert!(said.starts_with("the connection broke: "), "{said}");
        assert!(said.ends_with("the rollout goes on: see `warmlink status`"));
    }
}

#[tokio::test]
async fn a_refusal_with_a_status_is_read() {
    let refusal = Refusal::new(RefusalKind::Conflict, "another rollout is under way");
    let text = serde_json::to_string(&refusal).unwrap();
    let fake = Fake::answer(409, &[&text], End::Whole).await;
    let trouble = against(&fake).await.unwrap_err();
    assert_eq!(trouble.code(), 75);
    assert_eq!(trouble.to_string(), "another rollout is under way");
    assert_eq!(trouble.json(), serde_json::to_value(refusal).unwrap());
}

#[tokio::test]
async fn an_answer_of_something_else_is_not_taken_for_a_nodes() {
    for (status, body, code) in [(404, "<html>", 1), (503, "", 69), (200, "<html>\n", 1)] {
        let fake = Fake::answer(status, &[body], End::Whole).await;
        let trouble = against(&fake).await.unwrap_err();
        assert_eq!(trouble.code(), code, "{trouble}");
    }
}

#[tokio::test]
async fn silence_is_an_error_that_says_so() {
    let fake = Fake::answer(200, &[PREPARING], End::Hangs).await;
    let node = fake.node().impatient(Duration::from_millis(250));
    let trouble = carry_out(&node, order(), pending()).await.unwrap_err();
    assert_eq!(trouble.code(), 74);
    assert_eq!(
        trouble.to_string(),
        "no word from the node for 0.25 s; the rollout goes on: see `warmlink status`"
    );
}

#[tokio::test]
async fn an_address_that_nobody_answers_at_is_told() {
    // A port that was just free.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let node = Node::new(format!("http://127.0.0.1:{port}").parse().unwrap(), None);
    let trouble = carry_out(&node, order(), pending()).await.unwrap_err();
    assert_eq!(trouble.code(), 69);
    assert!(
        trouble
            .to_string()
            .starts_with("no node at http://127.0.0.1:")
    );
}

#[tokio::test]
async fn an_upload_that_breaks_off_has_begun_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let node = Node::new(url.parse().unwrap(), None);
    let file = tempfile::NamedTempFile::new().unwrap();
    // More than the sockets between hold.
    file.as_file().set_len(64 << 20).unwrap();
    let order = Order {
        component: Some(upload::open(file.path()).await.unwrap()),
        ..order()
    };
    let cut = async {
        let (socket, _) = listener.accept().await.unwrap();
        socket.readable().await.unwrap();
    };
    let (done, ()) = tokio::join!(carry_out(&node, order, pending()), cut);
    let trouble = done.unwrap_err();
    assert_eq!(trouble.code(), 74);
    let said = trouble.to_string();
    assert!(said.ends_with("; no rollout has begun"), "{said}");
}

#[tokio::test]
async fn an_interrupt_leaves_the_rollout_and_says_so() {
    let fake = Fake::answer(200, &[PREPARING], End::Hangs).await;
    let node = fake.node();
    let progress = Progress::new(0);
    // Until the node has begun, nothing but this ends.
    let begun = async {
        while progress.begun() != Begun::Yes {
            tokio::task::yield_now().await;
        }
    };
    let trouble = watch(&node, order(), &progress, begun).await.unwrap_err();
    assert_eq!(trouble.code(), 130);
    assert_eq!(
        trouble.to_string(),
        "interrupted; the rollout goes on: see `warmlink status`"
    );
}

#[test]
fn an_outcome_is_a_sentence() {
    let outcome = |canary, nodes: &[(&str, bool)]| Outcome {
        component: "redirect".into(),
        revision: "3fa2c1d0a9b1".repeat(2),
        canary,
        generation: 7,
        seconds: 2.0,
        nodes: nodes
            .iter()
            .map(|(name, done)| ((*name).to_owned(), *done))
            .collect(),
    };
    for (outcome, said) in [
        (
            outcome(Some(10.0), &[("a", true)]),
            "canary of redirect: 3fa2c1d0a9b1 gets 10 % on 1 node in 2.00 s (generation 7)",
        ),
        (
            outcome(None, &[("a", true), ("b", false), ("c", false)]),
            "redirect 3fa2c1d0a9b1 live on 1 of 3 nodes in 2.00 s (generation 7), \
             not yet on b, c",
        ),
        (
            outcome(None, &[]),
            "redirect 3fa2c1d0a9b1 live in 2.00 s (generation 7)",
        ),
    ] {
        assert_eq!(sentence(&outcome), said);
    }
}
