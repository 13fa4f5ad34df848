//! The limits of clients' requests: which component has which, and what counts.

use crate::manifest::{RateSpec, Spec};
use crate::pool::{Pools, valkey};
use crate::rate::{self, Counting, Fleet, Limiter, Rate, Rates};
use crate::signature::Key;
use crate::telemetry::Metrics;
use anyhow::Context;
use std::sync::Arc;

/// The limits of `spec`; none where it has none. Nodes count together that have
/// the same application and the same `key`.
///
/// # Errors
///
/// When an address is none.
pub(super) fn rates(
    spec: &Spec,
    pools: &Pools,
    metrics: &Metrics,
    key: Option<&Key>,
) -> anyhow::Result<Option<Rates>> {
    if spec.rates().next().is_none() {
        return Ok(None);
    }
    let rate_metrics = rate::Metrics::default();
    metrics.register(|registry| rate_metrics.register(registry));
    // Without a token a digest hides no more than that it is one.
    let key = key.cloned().unwrap_or_else(|| Key::new(""));
    let counting = Counting::new(&spec.name, key);
    let limiter = |component: Option<&str>, rate: &RateSpec| {
        let fleet = fleet(component, rate, pools)?;
        let counting = counting.clone();
        anyhow::Ok(Arc::new(Limiter::new(component, rate, fleet, counting)))
    };
    let shared = match &spec.rate {
        Some(rate) => Some(limiter(None, rate)?),
        None => None,
    };
    let mut rates = Vec::new();
    for (id, rate, own) in spec.rates() {
        let limiter = match &shared {
            Some(shared) if !own => shared.clone(),
            _ => limiter(Some(id), rate)?,
        };
        rates.push((id.into(), Rate::new(id, limiter, &rate_metrics)));
    }
    Ok(Rates::new(rates))
}

fn fleet(component: Option<&str>, rate: &RateSpec, pools: &Pools) -> anyhow::Result<Option<Fleet>> {
    let Some(address) = &rate.address else {
        return Ok(None);
    };
    let table = match component {
        Some(id) => format!("component.{id}.tool.warmlink.rate"),
        None => "application.tool.warmlink.rate".to_owned(),
    };
    let pool = || {
        anyhow::Ok(
            pools
                .valkey(&valkey::Target::parse(address.expose())?)?
                .pool,
        )
    };
    let pool = pool().with_context(|| table.clone())?;
    Ok(Some(Fleet::new(pool, rate.wait, &table)))
}
