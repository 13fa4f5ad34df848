//! How many connections a pool needs: the same requests to hosts with pools of
//! different sizes in turn.

use anyhow::Context as _;
use warmlink_tests::columns::{table, thousands};
use warmlink_tests::services::Wanted;
use warmlink_tests::{Host, HostOptions, Manifest};

use crate::fill;
use crate::stage::{DURABLE, say};
use crate::turns::{Asked, in_turn};
use crate::work::{CREATE, READ, Work};
use crate::wrk::Wrk;

/// Connections to PostgreSQL that each host has.
const SIZES: [u32; 3] = [4, 8, 16];

/// Clients at once.
const CLIENTS: [u32; 2] = [50, 500];

const ROUNDS: usize = 3;

/// Measures, and shows the figures.
///
/// # Errors
/// Where something fails.
pub(crate) async fn pools() -> anyhow::Result<()> {
    say("starting hosts with pools of 4, 8 and 16 connections");
    let services = Wanted::default()
        .postgres(&DURABLE)
        .valkey(&[])
        .start()
        .await;
    let mut hosts = Vec::new();
    for size in SIZES {
        let manifest = Manifest::application()
            .postgres_key("min", i64::from(size))
            .postgres_key("max", i64::from(size));
        let options = HostOptions::new(manifest)
            .database(services.database_url())
            .valkey(services.valkey_url());
        hosts.push(Host::start(options).await);
    }
    fill::tables(services.database_admin_url()).await?;
    let wrk = Wrk::new()?;
    let mut rows = Vec::new();
    for work in [&READ, &CREATE] {
        for clients in CLIENTS {
            rows.extend(compared(&wrk, &hosts, work, clients).await?);
        }
    }
    let head = [
        "work",
        "clients",
        "connections",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/request",
    ];
    println!("\n{}", table(&head, &rows));
    for mut host in hosts {
        host.terminate().await;
    }
    drop(services.stop().await);
    Ok(())
}

async fn compared(
    wrk: &Wrk,
    hosts: &[Host],
    work: &Work,
    clients: u32,
) -> anyhow::Result<Vec<Vec<String>>> {
    let asked: Vec<Asked<'_>> = hosts
        .iter()
        .map(|host| Asked {
            host,
            request: work.request.clone(),
        })
        .collect();
    let asked: [Asked<'_>; SIZES.len()] = asked.try_into().ok().context("a host for each size")?;
    let samples = in_turn(wrk, asked, clients, ROUNDS).await?;
    let row = |(size, sample): (u32, crate::sample::Sample)| {
        vec![
            work.title.to_owned(),
            clients.to_string(),
            size.to_string(),
            thousands(sample.rate),
            format!("{:.2}", sample.p50),
            format!("{:.2}", sample.p99),
            format!("{:.1}", sample.cpu),
        ]
    };
    Ok(SIZES.into_iter().zip(samples).map(row).collect())
}
