//! Files to be refused.

use warmlink_tests::seed::{EVENTS_HEADER, URLS_HEADER, USERS_HEADER};
use warmlink_tests::{Api, unique};

pub(super) const TIME: &str = "2025-09-19 22:25:05";

/// Far from what other tests number.
pub(super) const FREE: u64 = 50_000_000;

pub(super) fn users(rows: &[&str]) -> String {
    format!("{USERS_HEADER}\n{}\n", rows.join("\n"))
}

pub(super) fn urls(rows: &[&str]) -> String {
    format!("{URLS_HEADER}\n{}\n", rows.join("\n"))
}

pub(super) fn events(rows: &[&str]) -> String {
    format!("{EVENTS_HEADER}\n{}\n", rows.join("\n"))
}

/// Rows that could be imported, were they alone.
pub(super) struct Good {
    pub(super) user: String,
    pub(super) url: String,
    pub(super) event: String,
}

impl Good {
    pub(super) fn new() -> Self {
        let name = unique::name("good");
        Self {
            user: format!("{FREE},{name},{name}@example.com,{TIME}"),
            url: format!("{FREE},,{name},https://example.com,,True,{TIME},{TIME}"),
            event: format!("{FREE},{FREE},,{name},{TIME},{{}}"),
        }
    }

    /// None of them is there.
    pub(super) async fn assert_absent(&self, api: &Api) {
        api.get(&format!("/users/{FREE}")).await.error(404);
        api.get(&format!("/urls/{FREE}")).await.error(404);
        let code = self.url.split(',').nth(2).unwrap();
        api.get(&format!("/{code}")).await.error(404);
        let path = format!("/events?url_id={FREE}");
        assert!(api.get(&path).await.expect(200).list().is_empty());
        let list = api
            .get(&format!("/users?after_id={}", FREE - 1))
            .await
            .expect(200)
            .list();
        assert!(list.is_empty(), "{list:?}");
    }
}
