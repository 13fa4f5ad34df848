//! `/users` and `/users/ID`.

mod logic;

use logic::Route;
use shared::{
    Answer, Refusal, Reply,
    config::config,
    db::{Database, Failure},
    fields::{Fields, MAX_BODY},
    guest::Incoming,
    model::User,
    sql,
};

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    let route = logic::route(&request.head)?;
    match route {
        Route::List(page) => {
            let (statement, position, rows) = page.statement(sql::users());
            let found: Vec<User> = database()
                .await?
                .rows(statement, vec![position.into(), rows.into()])
                .await?;
            Ok(logic::list(page, found, request.head.query.as_deref()))
        }
        Route::Read(id) => one(
            database()
                .await?
                .row(sql::USER_BY_ID, vec![id.into()])
                .await?,
            id,
        ),
        Route::Create => {
            let (content_type, body) = body(request).await?;
            let new = logic::new_user(&Fields::parse(content_type.as_deref(), &body)?)?;
            let made = database()
                .await?
                .row::<User>(
                    sql::CREATE_USER,
                    vec![new.username.into(), new.email.into()],
                )
                .await
                .map_err(taken)?
                .ok_or_else(Refusal::fault)?;
            Ok(Reply::json(201, &made).with("location", format!("/users/{}", made.id)))
        }
        Route::Change(id) => {
            let (content_type, body) = body(request).await?;
            let change = logic::change(&Fields::parse(content_type.as_deref(), &body)?)?;
            let database = database().await?;
            if change.is_empty() {
                return one(database.row(sql::USER_BY_ID, vec![id.into()]).await?, id);
            }
            let parameters = vec![id.into(), change.username.into(), change.email.into()];
            one(
                database
                    .row(sql::CHANGE_USER, parameters)
                    .await
                    .map_err(taken)?,
                id,
            )
        }
        Route::Delete(id) => match database()
            .await?
            .execute(sql::DELETE_USER, vec![id.into()])
            .await?
        {
            0 => Err(logic::unknown(id)),
            _ => Ok(Reply::empty(204)),
        },
    }
}

async fn database() -> Result<&'static Database, Refusal> {
    Ok(Database::shared(config().await?).await?)
}

async fn body(request: Incoming) -> Result<(Option<Vec<u8>>, Vec<u8>), Refusal> {
    let content_type = request.header("content-type");
    Ok((content_type, request.into_bytes(MAX_BODY).await?))
}

fn one(user: Option<User>, id: i64) -> Answer {
    user.map(|user| Reply::json(200, &user))
        .ok_or_else(|| logic::unknown(id))
}

fn taken(failure: Failure) -> Refusal {
    match failure {
        Failure::Unique(key) => logic::taken(&key),
        other => other.into(),
    }
}
