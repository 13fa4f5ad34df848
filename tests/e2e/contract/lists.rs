use serde_json::Value;
use warmlink_tests::rig::Application;
use warmlink_tests::seed::Seed;
use warmlink_tests::{Api, csv, run};

fn ids(list: &[Value]) -> Vec<u64> {
    list.iter().map(|it| it["id"].as_u64().unwrap()).collect()
}

async fn loaded() -> (Application, Seed) {
    let application = Application::start_without_valkey().await;
    let seed = Seed::generate(250);
    let api = application.api();
    csv::upload(&api, "/users/bulk", seed.users_csv())
        .await
        .expect(201);
    csv::upload(&api, "/urls/bulk", seed.urls_csv())
        .await
        .expect(201);
    csv::upload(&api, "/events/bulk", seed.events_csv())
        .await
        .expect(201);
    (application, seed)
}

#[test]
fn lists_are_bare_arrays_in_pages_of_their_ids() {
    run(async {
        let (application, seed) = loaded().await;
        let api = application.api();
        for (path, total) in [
            ("/users", seed.users.len()),
            ("/urls", seed.urls.len()),
            ("/events", seed.events.len()),
        ] {
            let first = api.get(path).await.expect(200).list();
            assert_eq!(ids(&first), (1..=100).collect::<Vec<u64>>(), "{path}");
            let ten = api
                .get(&format!("{path}?page=1&per_page=10"))
                .await
                .expect(200)
                .list();
            assert_eq!(ids(&ten), (1..=10).collect::<Vec<u64>>());
            let third = api
                .get(&format!("{path}?page=3&per_page=7"))
                .await
                .expect(200)
                .list();
            assert_eq!(ids(&third), (15..=21).collect::<Vec<u64>>());
            let second = api.get(&format!("{path}?page=2")).await.expect(200).list();
            assert_eq!(ids(&second), (101..=200).collect::<Vec<u64>>());
            let all = api
                .get(&format!("{path}?per_page=1000"))
                .await
                .expect(200)
                .list();
            assert_eq!(all.len(), total.min(1000));
            let one = api
                .get(&format!("{path}?per_page=1&page={total}"))
                .await
                .expect(200)
                .list();
            assert_eq!(ids(&one), [total as u64]);
            for past in ["page=999999", "page=9223372036854775807&per_page=1000"] {
                let past = api.get(&format!("{path}?{past}")).await.expect(200).list();
                assert!(past.is_empty(), "{path}: {past:?}");
            }
        }
        filters(&api, &seed).await;
        links(&api, seed.urls.len()).await;
        keys(&api, "/users", seed.users.len()).await;
        keys(&api, "/urls", seed.urls.len()).await;
        keys(&api, "/events", seed.events.len()).await;
    });
}

async fn filters(api: &Api, seed: &Seed) {
    let owner = seed.urls[0].user_id;
    let of_owner: Vec<u64> = seed
        .urls
        .iter()
        .filter(|url| url.user_id == owner)
        .map(|url| url.id)
        .collect();
    let found = api
        .get(&format!("/urls?user_id={owner}"))
        .await
        .expect(200)
        .list();
    assert_eq!(ids(&found), of_owner);
    for (word, active) in [
        ("true", true),
        ("True", true),
        ("TRUE", true),
        ("false", false),
        ("False", false),
    ] {
        let wanted: Vec<u64> = seed
            .urls
            .iter()
            .filter(|url| url.is_active == active)
            .map(|url| url.id)
            .take(1000)
            .collect();
        let path = format!("/urls?is_active={word}&per_page=1000");
        assert_eq!(
            ids(&api.get(&path).await.expect(200).list()),
            wanted,
            "{word}"
        );
    }
    let both: Vec<u64> = seed
        .urls
        .iter()
        .filter(|url| url.user_id == owner && url.is_active)
        .map(|url| url.id)
        .collect();
    let path = format!("/urls?user_id={owner}&is_active=true");
    assert_eq!(ids(&api.get(&path).await.expect(200).list()), both);
    assert!(
        api.get("/urls?user_id=99999999")
            .await
            .expect(200)
            .list()
            .is_empty()
    );

    let url = seed.events[0].url_id;
    let wanted: Vec<u64> = seed
        .events
        .iter()
        .filter(|it| it.url_id == url)
        .map(|it| it.id)
        .collect();
    let path = format!("/events?url_id={url}");
    assert_eq!(ids(&api.get(&path).await.expect(200).list()), wanted);
    let wanted: Vec<u64> = seed
        .events
        .iter()
        .filter(|it| it.event_type == "deleted")
        .map(|it| it.id)
        .skip(10)
        .take(10)
        .collect();
    let path = "/events?event_type=deleted&page=2&per_page=10";
    assert_eq!(ids(&api.get(path).await.expect(200).list()), wanted);
}

/// Follows `next` from the first page to the last.
async fn links(api: &Api, total: usize) {
    let mut path = "/urls?per_page=300&is_active=TRUE".to_owned();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = api.get(&path).await.expect(200);
        seen.extend(ids(&page.list()));
        pages += 1;
        assert!(pages <= total, "the pages do not end");
        match relation(page.header("link").unwrap_or_default(), "next") {
            Some(next) => path = next,
            None => break,
        }
        assert!(
            path.contains("is_active"),
            "a link keeps the filter: {path}"
        );
    }
    assert!(seen.windows(2).all(|two| two[0] < two[1]));
    assert!(pages >= 2, "{pages}");
    let second = api.get("/urls?per_page=10&page=2").await.expect(200);
    let link = second.header("link").expect("a middle page has neighbours");
    let previous = relation(link, "prev").expect("a way back");
    assert_eq!(
        ids(&api.get(&previous).await.expect(200).list()),
        (1..=10).collect::<Vec<u64>>()
    );
}

/// `after_id` walks the whole table.
async fn keys(api: &Api, collection: &str, total: usize) {
    let mut after = 0;
    let mut seen = 0;
    loop {
        let path = format!("{collection}?after_id={after}&per_page=400");
        let page = api.get(&path).await.expect(200).list();
        let Some(last) = page.last() else { break };
        assert_eq!(page[0]["id"].as_u64().unwrap(), after + 1);
        after = last["id"].as_u64().unwrap();
        seen += page.len();
    }
    assert_eq!(seen, total);
}

/// The target of a `Link` header's relation, as a path.
fn relation(header: &str, name: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.split_once(';')?;
        let wanted = [format!("rel=\"{name}\""), format!("rel={name}")];
        if !parameters
            .split(';')
            .any(|it| wanted.contains(&it.trim().to_owned()))
        {
            return None;
        }
        let target = target.trim().trim_start_matches('<').trim_end_matches('>');
        Some(match target.split_once("://") {
            Some((_, rest)) => rest[rest.find('/')?..].to_owned(),
            None => target.to_owned(),
        })
    })
}
