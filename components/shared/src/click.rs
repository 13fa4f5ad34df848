//! A click on its way through the stream.

use uuid::Uuid;

/// The names of an entry's fields.
pub const ID: &str = "c";
pub const URL_ID: &str = "u";
pub const DETAILS: &str = "d";

/// A click as the stream has it.
#[derive(Clone, Copy, Debug)]
pub struct Click<'a> {
    /// Its own id, a UUID of version 7 as text: the time it was made is in it.
    pub id: &'a str,
    /// The link.
    pub url_id: i64,
    /// A JSON object.
    pub details: &'a str,
}

/// The time in a click's id, in whole seconds since 1970; None if the id is of
/// another version.
pub fn made_at(id: Uuid) -> Option<i64> {
    let (seconds, _) = id
        .get_timestamp()
        .filter(|_| id.get_version_num() == 7)?
        .to_unix();
    i64::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_click_is_in_its_id() {
        let id = |millis| uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid();
        assert_eq!(made_at(id(1_758_320_705_999)), Some(1_758_320_705));
        assert_eq!(made_at(id(0)), Some(0));
        assert_eq!(made_at(Uuid::nil()), None);
        assert_eq!(
            made_at(uuid::Builder::from_random_bytes([1; 16]).into_uuid()),
            None
        );
    }
}
