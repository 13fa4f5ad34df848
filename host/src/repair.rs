//! Has a private component repair what a cache may have missed: everything when
//! the cache was away, and what is left over every few seconds.

use crate::live::Private;
use crate::pause::{Pauses, jittered};
use crate::pool::valkey::{Arrivals, Epoch, Repairs, ValkeyPool};
use bytes::Bytes;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::time::Duration;
use tokio::time::sleep;

/// First and longest pause after a repair that was not done.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    component: String,
    scope: Scope,
    outcome: Outcome,
}

/// What a repair covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Scope {
    /// Everything that may have been missed.
    All,
    /// What is known to be left over.
    Leftovers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Outcome {
    Done,
    Failed,
}

/// Repairs, by component, scope and outcome.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Family<Labels, Counter>);

impl Metrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("repairs", "Repairs of a cache", self.0.clone());
    }

    fn of(&self, component: &str, scope: Scope, outcome: Outcome) -> Counter {
        self.0.get_or_create_owned(&Labels {
            component: component.to_owned(),
            scope,
            outcome,
        })
    }

    /// The first of a kind is an increase, too: each is there from the start.
    fn begin(&self, component: &str) {
        for scope in [Scope::All, Scope::Leftovers] {
            for outcome in [Outcome::Done, Outcome::Failed] {
                drop(self.of(component, scope, outcome));
            }
        }
    }
}

/// One cache and who repairs it.
#[derive(Debug)]
pub struct Repair {
    /// The component.
    pub component: Private,
    /// The cache.
    pub pool: ValkeyPool,
    /// The longest time between two looks for what is left over.
    pub every: Duration,
    /// What is counted.
    pub metrics: Metrics,
}

/// When the cache is to be repaired as a whole, and that it is.
struct Wanted {
    /// A near cache's word for it, which goes by answers, and waits for ours.
    repairs: Option<Repairs>,
    arrivals: Arrivals,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// Everything: for the time that the near cache gives, where there is one.
    All(Option<Epoch>),
    Leftovers,
}

impl Due {
    fn scope(self) -> Scope {
        match self {
            Self::All(_) => Scope::All,
            Self::Leftovers => Scope::Leftovers,
        }
    }
}

impl Wanted {
    fn of(pool: &ValkeyPool) -> Self {
        Self {
            repairs: pool.repaired_by(),
            arrivals: pool.arrivals(),
        }
    }

    /// Waits until the cache was away, or is reached for the first time.
    async fn next(&mut self) -> Due {
        match &mut self.repairs {
            Some(repairs) => Due::All(Some(repairs.wanted().await)),
            None => {
                self.arrivals.next().await;
                Due::All(None)
            }
        }
    }

    fn done(&self, due: Due) {
        if let (Some(repairs), Due::All(Some(epoch))) = (&self.repairs, due) {
            repairs.done(epoch);
        }
    }
}

impl Repair {
    /// Repairs for as long as it is polled.
    pub async fn run(self) {
        self.metrics.begin(self.component.id());
        let mut wanted = Wanted::of(&self.pool);
        loop {
            let due = tokio::select! {
                biased;
                due = wanted.next() => due,
                () = sleep(jittered(self.every)) => Due::Leftovers,
            };
            self.repair(due, &mut wanted).await;
        }
    }

    /// Asks until it is done. What is left over waits while the whole cache is to
    /// be repaired: that comes to the same.
    async fn repair(&self, mut due: Due, wanted: &mut Wanted) {
        let mut pauses = Pauses::new(AGAIN.0, AGAIN.1);
        let mut told = false;
        while let Err(reason) = self.ask(due.scope()).await {
            let component = &**self.component.id();
            if std::mem::replace(&mut told, true) {
                tracing::debug!(component, "the cache is not repaired yet: {reason}");
            } else {
                tracing::warn!(component, "the cache is not repaired yet: {reason}");
            }
            let pause = sleep(pauses.another());
            match due {
                // A time that came to an end meanwhile is asked for by itself.
                Due::All(_) => pause.await,
                Due::Leftovers => {
                    tokio::select! {
                        biased;
                        all = wanted.next() => due = all,
                        () = pause => {}
                    }
                }
            }
        }
        wanted.done(due);
    }

    async fn ask(&self, scope: Scope) -> Result<(), String> {
        let body = match scope {
            Scope::All => Bytes::from_static(br#"{"all":true}"#),
            Scope::Leftovers => Bytes::from_static(br#"{"all":false}"#),
        };
        let asked = match self.component.post(body).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(format!("{}: {}", answer.status, answer.text)),
            Err(failure) => Err(failure.to_string()),
        };
        let outcome = match asked {
            Ok(()) => Outcome::Done,
            Err(_) => Outcome::Failed,
        };
        self.metrics.of(self.component.id(), scope, outcome).inc();
        asked
    }
}
