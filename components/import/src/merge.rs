//! The import's one transaction: rows are staged, then merged whole.

use shared::{
    Refusal,
    config::Config,
    db::{Database, Failure},
    model::FromRow,
    row::{Columns, Malformed},
    sql::{self, Conflict, Merge},
};

use crate::batch::Batch;

/// An import under way. Takes a connection with its first row, not before.
pub(crate) struct Import {
    config: &'static Config,
    merge: Merge,
    database: Option<Database>,
}

impl Import {
    pub(crate) fn new(config: &'static Config, merge: Merge) -> Self {
        Self {
            config,
            merge,
            database: None,
        }
    }

    /// Stages rows.
    pub(crate) async fn add(&mut self, batch: Batch) -> Result<(), Refusal> {
        if batch.is_empty() {
            return Ok(());
        }
        let database = match &self.database {
            Some(database) => database,
            None => {
                let database = self.database.insert(Database::open(self.config).await?);
                database.execute(sql::BEGIN, vec![]).await?;
                database.execute(self.merge.stage, vec![]).await?;
                database
            }
        };
        database
            .execute(self.merge.add, batch.into_parameters())
            .await?;
        Ok(())
    }

    /// Merges what is staged. 400 or 409, by its line, for a row that cannot be.
    pub(crate) async fn finish(&mut self) -> Result<(), Refusal> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        database.execute(sql::ONE_IMPORT, vec![]).await?;
        // First without touching anything, and once more when nothing can change.
        self.check(database).await?;
        for statement in [
            sql::SAVE_BEFORE_WRITERS,
            self.merge.lock,
            self.merge.advance,
            sql::RELEASE_WRITERS,
        ] {
            database.execute(statement, vec![]).await?;
        }
        for statement in self.merge.merge {
            database
                .execute(statement, vec![])
                .await
                .map_err(meanwhile)?;
        }
        self.check(database).await?;
        database.execute(sql::COMMIT, vec![]).await?;
        self.database = None;
        Ok(())
    }

    /// Lets go of what is staged.
    pub(crate) async fn abandon(&mut self) {
        if let Some(database) = self.database.take() {
            // Fails only where the connection is gone, and the transaction with it.
            let _ = database.execute(sql::ROLLBACK, vec![]).await;
        }
    }

    async fn check(&self, database: &Database) -> Result<(), Refusal> {
        for (conflict, statement) in self.merge.checks {
            if let Some(found) = database.row::<Found>(statement, vec![]).await? {
                return Err(refuse(*conflict, &found));
            }
        }
        Ok(())
    }
}

/// The first row with a conflict, and the value that clashes.
struct Found {
    line: i64,
    value: String,
}

impl FromRow for Found {
    fn from_row(row: &mut Columns) -> Result<Self, Malformed> {
        Ok(Self {
            line: row.int()?,
            value: row.text()?,
        })
    }
}

fn refuse(conflict: Conflict, Found { line, value }: &Found) -> Refusal {
    match conflict {
        Conflict::Id => Refusal::conflict(format!("line {line}: id {value} has other content")),
        Conflict::Code => Refusal::conflict(format!("line {line}: short_code {value} is taken")),
        Conflict::Owner => {
            Refusal::invalid(format!("line {line}: user_id: no user has the id {value}"))
        }
    }
}

/// Another client changed what the checks had found in order.
fn meanwhile(failure: Failure) -> Refusal {
    match failure {
        Failure::Unique(_) | Failure::Reference => {
            Refusal::conflict("file: a row clashes with a change made meanwhile")
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_names_the_line() {
        let found = Found {
            line: 7,
            value: "abc123".into(),
        };
        assert_eq!(
            refuse(Conflict::Code, &found).message,
            "line 7: short_code abc123 is taken"
        );
        assert_eq!(refuse(Conflict::Id, &found).status, 409);
        assert_eq!(refuse(Conflict::Owner, &found).status, 400);
    }
}
