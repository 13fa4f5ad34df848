//! `/urls` and `/urls/ID`.

mod logic;
mod rows;

use logic::{NewUrl, Route};
use rows::{Changed, Gone, Made};
use shared::{
    Answer, Refusal, Reply,
    cache::{Cached, Link, Links},
    code,
    config::{Config, config},
    db::{Database, Failure},
    fields::{Fields, MAX_BODY},
    guest::{self, Incoming},
    model::Url,
    sql,
};
use spin_sdk::pg::ParameterValue;

/// Codes drawn before giving up. Even with half of all codes taken, one create in
/// 65,536 would come to this.
const DRAWS: usize = 16;

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    let route = logic::route(&request.head)?;
    let config = config().await?;
    match route {
        Route::List(page, filter) => {
            let (statement, position, rows) = page.statement(filter.list());
            let mut parameters = filter.parameters();
            parameters.extend([position.into(), rows.into()]);
            let found: Vec<Url> = Database::shared(config)
                .await?
                .rows(statement, parameters)
                .await?;
            Ok(logic::list(page, found, request.head.query.as_deref()))
        }
        Route::Read(id) => read(Database::shared(config).await?, id).await,
        Route::Create => {
            let (content_type, body) = body(request).await?;
            let new = logic::new_url(&Fields::parse(content_type.as_deref(), &body)?)?;
            create(Database::shared(config).await?, new).await
        }
        Route::Change(id) => {
            let (content_type, body) = body(request).await?;
            let change = logic::change(&Fields::parse(content_type.as_deref(), &body)?)?;
            let database = Database::shared(config).await?;
            if change.is_empty() {
                return read(database, id).await;
            }
            let mut parameters = vec![id.into()];
            parameters.extend(change.parameters());
            parameters.push(config.valkey_url.is_some().into());
            let changed: Option<Changed> = database.row(sql::CHANGE_URL, parameters).await?;
            let Changed { url, version } = changed.ok_or_else(|| logic::unknown(id))?;
            if let Some(version) = version {
                let link = Link {
                    id: url.id,
                    original_url: url.original_url.clone(),
                };
                let cached = Cached {
                    version,
                    link: url.is_active.then_some(link),
                };
                publish(config, database, &url.short_code, &cached).await;
            }
            Ok(Reply::json(200, &url))
        }
        Route::Delete(id) => {
            let database = Database::shared(config).await?;
            let parameters = vec![id.into(), config.valkey_url.is_some().into()];
            let gone: Option<Gone> = database.row(sql::DELETE_URL, parameters).await?;
            let Gone {
                short_code,
                version,
            } = gone.ok_or_else(|| logic::unknown(id))?;
            publish(
                config,
                database,
                &short_code,
                &Cached {
                    version,
                    link: None,
                },
            )
            .await;
            Ok(Reply::empty(204))
        }
    }
}

async fn body(request: Incoming) -> Result<(Option<Vec<u8>>, Vec<u8>), Refusal> {
    let content_type = request.header("content-type");
    Ok((content_type, request.into_bytes(MAX_BODY).await?))
}

async fn read(database: &Database, id: i64) -> Answer {
    let url: Option<Url> = database.row(sql::URL_BY_ID, vec![id.into()]).await?;
    url.map(|url| Reply::json(200, &url))
        .ok_or_else(|| logic::unknown(id))
}

/// Makes a url under the code it asks for, or under a drawn one that is free.
async fn create(database: &Database, new: NewUrl) -> Answer {
    for _ in 0..DRAWS {
        let short_code = match &new.short_code {
            Some(chosen) => chosen.clone(),
            // Room for the bytes that a draw passes over.
            None => match code::draw(&guest::random_bytes(4 * code::LENGTH as u64)) {
                Some(drawn) => drawn,
                None => continue,
            },
        };
        let made = database
            .row::<Made>(sql::CREATE_URL, new.parameters(&short_code))
            .await;
        match made {
            Ok(Some(Made::Url { id, created_at })) => {
                let url = new.into_url(id, short_code, created_at);
                return Ok(Reply::json(201, &url).with("location", format!("/urls/{id}")));
            }
            Ok(Some(Made::UnknownOwner)) | Err(Failure::Reference) => {
                return Err(logic::unknown_owner(new.user_id));
            }
            Ok(Some(Made::CodeTaken)) | Err(Failure::Unique(_)) if new.short_code.is_some() => {
                return Err(Refusal::conflict("short_code: is taken"));
            }
            Ok(Some(Made::CodeTaken)) | Err(Failure::Unique(_)) => {}
            Ok(None) => return Err(Refusal::fault()),
            Err(failure) => return Err(failure.into()),
        }
    }
    eprintln!("no free code in {DRAWS} draws");
    Err(Refusal::unavailable("a free code"))
}

/// Tells the cache of a change, and marks the intent that came with the change
/// once the cache has it. What fails here is left to whoever replays the
/// intents: the change itself is done.
async fn publish(config: &Config, database: &Database, short_code: &str, cached: &Cached) {
    let Some(links) = Links::open(config).await else {
        return;
    };
    if links.put(short_code, cached).await {
        let parameters = vec![
            ParameterValue::ArrayStr(vec![Some(short_code.to_owned())]),
            ParameterValue::ArrayInt64(vec![Some(cached.version)]),
        ];
        // A failure is in the log, and has the cache written once more.
        let _ = database.execute(sql::WRITTEN, parameters).await;
    }
}
