//! From the beginning of a digest, as people write it, to a revision.

use super::Inner;
use super::command::unavailable;
use crate::control::{Refusal, RefusalKind};
use std::collections::BTreeSet;

/// Fewest digits that name a revision.
const DIGITS: usize = 4;

impl Inner {
    /// The one revision of `component` whose digest begins with `digits`.
    pub(super) async fn resolve(&self, component: &str, digits: &str) -> Result<String, Refusal> {
        let bad = |text: String| Refusal::new(RefusalKind::BadRequest, text);
        let digits = digits.to_ascii_lowercase();
        if digits.len() < DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad(format!(
                "{digits:?} names no revision: write {DIGITS} or more of its hexadecimal digits"
            )));
        }
        let baseline = self.baseline();
        let snapshot = self.backend.read().await.map_err(unavailable)?;
        let desired = snapshot
            .state
            .desired(component, baseline.digest(component));
        let mut known: BTreeSet<String> = desired.names(usize::MAX);
        known.insert(baseline.digest(component).to_owned());
        let stored = self
            .backend
            .revisions(component)
            .await
            .map_err(unavailable)?;
        known.extend(stored.into_iter().map(|revision| revision.digest));
        let mut found = known.into_iter().filter(|it| it.starts_with(&digits));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(bad(format!(
                "{digits:?} is the beginning of several revisions of {component}: write more digits"
            ))),
            (None, _) => Err(Refusal::new(
                RefusalKind::NotFound,
                format!("there is no revision {digits}; see `warmlink revisions {component}`"),
            )),
        }
    }
}
