//! `/events`.

mod arrived;
mod logic;

use logic::{Made, Route};
use shared::{
    Answer, Refusal, Reply,
    config::config,
    db::Database,
    fields::{Fields, MAX_BODY},
    guest::Incoming,
    model::Event,
    sql,
};

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    match logic::route(&request.head)? {
        Route::List(page, filter) => {
            let (statement, position, rows) = page.statement(filter.list());
            let mut parameters = filter.into_parameters();
            parameters.extend([position.into(), rows.into()]);
            let config = config().await?;
            // Who has been redirected finds the click.
            arrived::wait(config).await;
            let database = Database::shared(config).await?;
            let found: Vec<Event> = database.rows(statement, parameters).await?;
            Ok(logic::list(page, found, request.head.query.as_deref()))
        }
        Route::Record => {
            let content_type = request.header("content-type");
            let body = request.into_bytes(MAX_BODY).await?;
            let new = logic::new_event(&Fields::parse(content_type.as_deref(), &body)?)?;
            let database = Database::shared(config().await?).await?;
            let made: Option<Made> = database.row(sql::RECORD_EVENT, new.parameters()).await?;
            Ok(Reply::json(
                201,
                &new.into_event(made.ok_or_else(Refusal::fault)?)?,
            ))
        }
    }
}
