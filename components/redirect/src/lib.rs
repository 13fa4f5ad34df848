//! `/CODE` and `/urls/CODE/redirect`.

mod logic;

use logic::{Asked, Found};
use shared::{
    Answer,
    cache::{Cached, Link, Links},
    config::config,
    db::Database,
    guest::{self, Incoming},
    sql,
};

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    let asked = logic::route(&request.head)?;
    let config = config().await?;
    let (code, visit) = match asked {
        // Who only asks is no visitor, and gets the database's own word.
        Asked::Look(code) => {
            let database = Database::open(config).await?;
            let target: Option<String> = database
                .row(sql::LINK_BY_CODE, vec![code.clone().into()])
                .await?;
            return logic::redirect(target, &code);
        }
        Asked::Visit(code) => (
            code,
            logic::Visit {
                id: logic::visit_id(guest::unix_millis(), &guest::random_bytes(16)),
                referrer: request.header_text("referer"),
                user_agent: request.header_text("user-agent"),
            },
        ),
    };
    let links = Links::open(config).await;
    let cached = match &links {
        Some(links) => links.get(&code).await,
        None => None,
    };
    let database = Database::open(config).await?;
    // The visit is recorded before it is answered; the same statement makes sure
    // that the cached link is still the newest one.
    if let Some(Cached {
        version,
        link: Some(link),
    }) = cached
    {
        let parameters = visit.of_cached(&code, &link, version);
        if database.execute(sql::VISIT_CACHED, parameters).await? > 0 {
            return logic::redirect(Some(link.original_url), &code);
        }
    }
    let found: Option<Found> = database
        .row(sql::VISIT_BY_CODE, visit.of_code(&code))
        .await?;
    let Some(Found {
        id,
        original_url,
        version,
    }) = found
    else {
        return logic::redirect(None, &code);
    };
    if let Some(links) = links {
        let link = Some(Link {
            id,
            original_url: original_url.clone(),
        });
        links.put(&code, &Cached { version, link }).await;
    }
    logic::redirect(Some(original_url), &code)
}
