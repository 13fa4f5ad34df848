//! Generated files: users, urls and events, the same for the same numbers,
//! with the traps that real ones have.
//!
//! Usernames repeat, once with their email; one code is all digits; an
//! `updated` event's new value is nonsense for its field; a `deleted` event
//! leaves its url active; events after the `created` ones are in no order of
//! time; titles hold commas, quotes and letters beyond ASCII.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::csv::field;

pub const USERS_HEADER: &str = "id,username,email,created_at";
pub const URLS_HEADER: &str =
    "id,user_id,short_code,original_url,title,is_active,created_at,updated_at";
pub const EVENTS_HEADER: &str = "id,url_id,user_id,event_type,timestamp,details";

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const WORDS: [&str; 12] = [
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty",
    "knoll", "ledge",
];
const HOSTS: [&str; 4] = [
    "example.com",
    "example.org",
    "shop.example.net",
    "docs.example",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: u64,
    pub username: String,
    pub email: String,
    pub created_at: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub id: u64,
    pub user_id: u64,
    pub short_code: String,
    pub original_url: String,
    pub title: String,
    pub is_active: bool,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: u64,
    pub url_id: u64,
    pub user_id: u64,
    pub event_type: &'static str,
    pub timestamp: String,
    pub details: serde_json::Value,
}

/// One generated set.
pub struct Seed {
    pub users: Vec<User>,
    pub urls: Vec<Link>,
    pub events: Vec<Event>,
}

impl Seed {
    /// `users` users, five urls for each, and their events.
    ///
    /// # Panics
    /// With fewer than twenty users, which leave no room for the traps.
    pub fn generate(users: u64) -> Self {
        assert!(users >= 20, "too few for the traps");
        let mut random = StdRng::seed_from_u64(users);
        let users: Vec<User> = (1..=users).map(|id| user(id, &mut random)).collect();
        let mut users = users;
        // A name three times, and once with its email.
        users[8].username = users[3].username.clone();
        users[15].username = users[3].username.clone();
        users[15].email = users[3].email.clone();
        let urls = links(&users, &mut random);
        let events = events(&urls, &mut random);
        Self {
            users,
            urls,
            events,
        }
    }

    pub fn users_csv(&self) -> String {
        users_csv(&self.users)
    }

    pub fn urls_csv(&self) -> String {
        urls_csv(&self.urls)
    }

    pub fn events_csv(&self) -> String {
        events_csv(&self.events)
    }
}

pub fn users_csv(users: &[User]) -> String {
    table(
        USERS_HEADER,
        users.iter().map(|it| {
            vec![
                it.id.to_string(),
                it.username.clone(),
                it.email.clone(),
                it.created_at.clone(),
            ]
        }),
    )
}

pub fn urls_csv(urls: &[Link]) -> String {
    table(
        URLS_HEADER,
        urls.iter().map(|it| {
            vec![
                it.id.to_string(),
                it.user_id.to_string(),
                it.short_code.clone(),
                it.original_url.clone(),
                it.title.clone(),
                if it.is_active { "True" } else { "False" }.to_owned(),
                it.created_at.clone(),
                it.updated_at.clone(),
            ]
        }),
    )
}

pub fn events_csv(events: &[Event]) -> String {
    table(
        EVENTS_HEADER,
        events.iter().map(|it| {
            vec![
                it.id.to_string(),
                it.url_id.to_string(),
                it.user_id.to_string(),
                it.event_type.to_owned(),
                it.timestamp.clone(),
                it.details.to_string(),
            ]
        }),
    )
}

/// A time of the file as the API writes it.
pub fn out(time: &str) -> String {
    time.replacen(' ', "T", 1)
}

fn table(header: &str, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("{header}\n");
    for row in rows {
        let fields: Vec<String> = row.iter().map(|text| field(text)).collect();
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn user(id: u64, random: &mut StdRng) -> User {
    let username = format!("{}{}{id}", word(random), word(random));
    let email = format!("{username}@{}", HOSTS.choose(random).expect("not empty"));
    User {
        id,
        username,
        email,
        created_at: time(random),
    }
}

fn links(users: &[User], random: &mut StdRng) -> Vec<Link> {
    let mut codes = BTreeSet::from(["204816".to_owned()]);
    let count = users.len() as u64 * 5;
    (1..=count)
        .map(|id| {
            let short_code = if id == 7 {
                "204816".to_owned()
            } else {
                code(&mut codes, random)
            };
            let title = match id % 10 {
                0 => format!("Größe, \"{}\" und mehr", word(random)),
                5 => format!("{}, {}", word(random), word(random)),
                _ => format!("{} {}", word(random), word(random)),
            };
            Link {
                id,
                user_id: random.random_range(1..=users.len() as u64),
                short_code,
                original_url: format!(
                    "https://{}/{}/{id}?q={}&r=%2F#{}",
                    HOSTS.choose(random).expect("not empty"),
                    word(random),
                    word(random),
                    word(random)
                ),
                title,
                is_active: random.random_bool(0.7),
                created_at: time(random),
                updated_at: time(random),
            }
        })
        .collect()
}

fn events(urls: &[Link], random: &mut StdRng) -> Vec<Event> {
    let created = urls.iter().map(|url| Event {
        id: url.id,
        url_id: url.id,
        user_id: url.user_id,
        event_type: "created",
        timestamp: url.created_at.clone(),
        details: json!({ "short_code": url.short_code, "original_url": url.original_url }),
    });
    let mut events: Vec<Event> = created.collect();
    for number in 1..=urls.len() as u64 * 7 / 10 {
        let url = urls.choose(random).expect("not empty");
        let (event_type, details) = if number % 6 == 0 {
            ("deleted", json!({ "reason": "policy_cleanup" }))
        } else {
            let field = ["title", "is_active", "original_url"]
                .choose(random)
                .expect("not empty");
            (
                "updated",
                json!({ "field": field, "new_value": "archived" }),
            )
        };
        events.push(Event {
            id: urls.len() as u64 + number,
            url_id: url.id,
            user_id: url.user_id,
            event_type,
            timestamp: time(random),
            details,
        });
    }
    events
}

fn word(random: &mut StdRng) -> &'static str {
    WORDS.choose(random).expect("not empty")
}

fn code(taken: &mut BTreeSet<String>, random: &mut StdRng) -> String {
    loop {
        let code: String = (0..6)
            .map(|_| char::from(*ALPHABET.choose(random).expect("not empty")))
            .collect();
        if taken.insert(code.clone()) {
            return code;
        }
    }
}

fn time(random: &mut StdRng) -> String {
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        random.random_range(2023..=2025),
        random.random_range(1..=12),
        random.random_range(1..=28),
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_files() {
        assert_eq!(
            Seed::generate(40).events_csv(),
            Seed::generate(40).events_csv()
        );
    }

    #[test]
    fn the_traps_are_there() {
        let seed = Seed::generate(40);
        let names: BTreeSet<_> = seed.users.iter().map(|user| &user.username).collect();
        assert_eq!(names.len(), 38);
        assert!(
            seed.urls
                .iter()
                .any(|url| url.short_code.bytes().all(|b| b.is_ascii_digit()))
        );
        assert!(
            seed.events
                .windows(2)
                .any(|two| two[0].timestamp > two[1].timestamp)
        );
        assert!(seed.urls_csv().contains("\"Größe, \"\""));
    }
}
