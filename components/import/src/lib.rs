//! `/users/bulk`, `/urls/bulk` and `/events/bulk`: a CSV file taken in whole, or
//! not at all, in memory that does not grow with it.

mod batch;
mod csv;
mod kind;
mod merge;
mod parts;
#[cfg(test)]
mod properties;
mod table;

use kind::Kind;
use merge::Import;
use parts::Parts;
use serde::Serialize;
use shared::{Answer, Refusal, Reply, config::config, guest::Incoming};
use table::Table;

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    let kind = Kind::of(&request.head)?;
    let [content_type] = request.header_texts(["content-type"]);
    let mut parts = Parts::new(content_type.as_deref(), request.into_body())?;
    let mut table = Table::new(kind);
    let mut import = Import::new(config().await?, kind.merge());
    let read = read(&mut parts, &mut table, &mut import).await;
    let outcome = match read {
        Ok(()) => import.finish().await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = outcome {
        import.abandon().await;
        return Err(refusal);
    }

    #[derive(Serialize)]
    struct Imported {
        count: u64,
        imported: u64,
    }
    let count = table.rows();
    Ok(Reply::json(
        201,
        &Imported {
            count,
            imported: count,
        },
    ))
}

/// Reads the part `file` to its end, then the request to its own: what comes
/// broken off is not imported.
async fn read(parts: &mut Parts, table: &mut Table, import: &mut Import) -> Result<(), Refusal> {
    parts.find_file().await?;
    while let Some(chunk) = parts.chunk().await? {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            rest = table.feed(rest)?;
            if let Some(batch) = table.full_batch() {
                import.add(batch).await?;
            }
        }
    }
    table.end()?;
    parts.finish().await?;
    import.add(table.last_batch()).await
}
