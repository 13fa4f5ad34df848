//! Sends scripts to probe guests (`tests/guests`).

use serde_json::{Value, json};

use crate::{Api, Reply};

/// A probe behind a path.
#[derive(Clone)]
pub struct Probe {
    api: Api,
    path: String,
}

impl Probe {
    pub fn new(api: Api, path: &str) -> Self {
        Self {
            api,
            path: path.to_owned(),
        }
    }

    /// Runs the steps in one request; one outcome for each.
    pub async fn run(&self, steps: Value) -> Vec<Value> {
        self.send(steps).await.expect(200).list()
    }

    /// Runs the steps and gives the last one's `ok`.
    ///
    /// # Panics
    /// Where any of them failed.
    pub async fn ok(&self, steps: Value) -> Value {
        let mut outcomes = self.run(steps.clone()).await;
        for (index, outcome) in outcomes.iter().enumerate() {
            assert!(
                outcome.get("ok").is_some(),
                "step {} of {steps}: {outcome}",
                index + 1
            );
        }
        outcomes.pop().expect("a script has steps")["ok"].take()
    }

    /// Runs the steps, of which the last alone must fail, and gives its `err`.
    ///
    /// # Panics
    /// Where that is not so.
    pub async fn err(&self, steps: Value) -> Value {
        let mut outcomes = self.run(steps.clone()).await;
        let mut last = outcomes.pop().expect("a script has steps");
        for outcome in &outcomes {
            assert!(outcome.get("ok").is_some(), "in {steps}: {outcome}");
        }
        assert!(
            last.get("err").is_some(),
            "the last of {steps} did not fail: {last}"
        );
        last["err"].take()
    }

    /// Sends the steps and gives the response, whatever it is.
    pub async fn send(&self, steps: Value) -> Reply {
        self.api.post(&self.path, &steps).await
    }
}

/// The step that opens handle `name` on an address.
pub fn open(name: &str, address: &str) -> Value {
    json!({ "open": { "name": name, "address": address } })
}
