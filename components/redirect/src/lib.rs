//! `/CODE` and `/urls/CODE/redirect`.

mod logic;

use logic::{Asked, Found, Visit};
use shared::{
    Answer, Refusal,
    cache::{Cached, Link, Links},
    config::{Config, config},
    db::Database,
    guest::{self, Incoming},
    sql,
};

shared::service!(handle);

async fn handle(request: Incoming) -> Answer {
    let asked = logic::route(&request.head)?;
    let config = config().await?;
    let links = Links::open(config).await;
    // Who only asks is no visitor.
    let (code, visit) = match asked {
        Asked::Look(code) => (code, None),
        Asked::Visit(code) => {
            let [referrer, user_agent] = request.header_texts(["referer", "user-agent"]);
            let visit = Visit {
                id: logic::visit_id(guest::unix_millis(), &guest::random_bytes(16)),
                referrer,
                user_agent,
            };
            (code, Some(visit))
        }
    };
    let cached = match links {
        Some(links) => links.get(&code).await,
        None => None,
    };
    if let Some(Cached {
        version,
        link: Some(link),
    }) = cached
    {
        let known = match &visit {
            None => true,
            Some(visit) => record(config, links, visit, &code, &link, version).await?,
        };
        if known {
            return logic::redirect(Some(link.original_url), &code);
        }
    }
    let database = Database::shared(config).await?;
    let found: Option<Found> = match visit {
        None => {
            let parameters = vec![code.clone().into()];
            database.row(sql::LINK_BY_CODE, parameters).await?
        }
        // The visit is recorded before it is answered.
        Some(visit) => {
            let parameters = visit.of_code(&code);
            database.row(sql::VISIT_BY_CODE, parameters).await?
        }
    };
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

/// Records a visit of a cached link: in the stream, or else in the database,
/// under the same id, since what was not acknowledged may be in the stream all
/// the same. False where the database knows the link to be another by now.
async fn record(
    config: &Config,
    links: Option<&Links>,
    visit: &Visit,
    code: &str,
    link: &Link,
    version: i64,
) -> Result<bool, Refusal> {
    let details = visit.details(code, link);
    if let (Some(links), Some(stream)) = (links, &config.click_stream)
        && links.append(stream, &visit.click(link, &details)).await
    {
        return Ok(true);
    }
    let parameters = visit.of_cached(code, link, version, details);
    let database = Database::shared(config).await?;
    Ok(database.execute(sql::VISIT_CACHED, parameters).await? > 0)
}
