//! Native servers that do what the application's components do, with nothing in
//! between: what the machine could do at most.
//!
//! They get what the host has: its allocator, a current-thread runtime per core,
//! hyper set up in the same way, pipelined and multiplexed connections.

mod cores;
mod hello;
mod links;
mod listener;
mod row;

use std::sync::Arc;

use clap::{Parser, Subcommand};

use cores::Cores;
use hello::Hello;
use links::Links;
use row::Rows;

/// As the host's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections to PostgreSQL: as many as the application's pool has.
const POSTGRES_CONNECTIONS: usize = 8;

/// Serves on a free port of the loopback, and prints `listening ADDRESS`.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    work: Work,
}

/// What each request is answered with.
#[derive(Debug, Subcommand)]
enum Work {
    /// A constant.
    Hello,
    /// `/CODE`: the way to a link that Valkey has.
    Lookup(Valkey),
    /// The same, and an entry in a stream before it is answered.
    Append {
        #[command(flatten)]
        valkey: Valkey,
        /// The stream's key.
        #[arg(long)]
        stream: String,
    },
    /// `/urls/ID`: a row of PostgreSQL as JSON.
    Row {
        /// The database's address.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database: String,
    },
}

#[derive(Debug, clap::Args)]
struct Valkey {
    /// Valkey's address.
    #[arg(long, env = "VALKEY_URL", hide_env_values = true)]
    valkey: String,
    /// Multiplexed connections, dealt out to the cores.
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

fn main() -> anyhow::Result<()> {
    let cores = Cores::start(std::thread::available_parallelism()?.get())?;
    match Args::parse().work {
        Work::Hello => listener::serve(&cores, vec![Hello; cores.count()]),
        Work::Lookup(valkey) => {
            let links = Links::connect(&cores, &valkey.valkey, valkey.connections, None)?;
            listener::serve(&cores, links)
        }
        Work::Append { valkey, stream } => {
            let stream = Some(Arc::from(stream));
            let links = Links::connect(&cores, &valkey.valkey, valkey.connections, stream)?;
            listener::serve(&cores, links)
        }
        Work::Row { database } => {
            let rows = Rows::connect(&cores, &database, POSTGRES_CONNECTIONS)?;
            listener::serve(&cores, rows)
        }
    }
}
