//! Values that the environment gives to the manifest's variables.

use super::Secret;
use std::collections::BTreeMap;

/// What Spin's own hosts prefix a variable's name with, in upper case.
const PREFIX: &str = "SPIN_VARIABLE_";

/// An address of a server, and the origin that allow-lists go by.
#[derive(Debug, Clone)]
pub struct Servers {
    /// `database_url` and `database_origin`: one, or several with commas between.
    pub database: Option<(Secret, String)>,
    /// `valkey_url` and `valkey_origin`; both empty where there is to be none.
    pub valkey: Option<(Secret, String)>,
}

/// The variables that `environment` sets: `SPIN_VARIABLE_*`, and the servers'
/// addresses under the names that manifests know them by. What is set by its
/// own name goes first, but for an address that is given as a server's.
pub fn from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    servers: Servers,
) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = environment
        .into_iter()
        .filter_map(|(name, value)| {
            let name = name.strip_prefix(PREFIX)?;
            Some((name.to_ascii_lowercase(), value))
        })
        .collect();
    let mut give = |name: &str, server: Option<(Secret, String)>| {
        if let Some((url, origin)) = server {
            values.insert(format!("{name}_url"), url.expose().to_owned());
            if !origin.is_empty() {
                values.entry(format!("{name}_origin")).or_insert(origin);
            }
        }
    };
    give("database", servers.database);
    give("valkey", servers.valkey);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_spins_own_variables_become_values() {
        let environment = [
            ("SPIN_VARIABLE_GREETING", "hello"),
            ("SPIN_VARIABLE_VALKEY_ORIGIN", "redis://other:1"),
            ("HOME", "/root"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let servers = Servers {
            database: Some(("postgres://u:p@h:1/d".into(), "postgres://h:1".into())),
            valkey: Some(("redis://h:2".into(), "redis://h:2".into())),
        };
        let values = from_environment(environment, servers);
        let pairs: Vec<_> = values
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("database_origin", "postgres://h:1"),
                ("database_url", "postgres://u:p@h:1/d"),
                ("greeting", "hello"),
                ("valkey_origin", "redis://other:1"),
                ("valkey_url", "redis://h:2"),
            ]
        );
    }

    #[test]
    fn no_valkey_is_an_empty_address_and_the_manifests_own_origin() {
        let servers = Servers {
            database: None,
            valkey: Some(("".into(), String::new())),
        };
        let values = from_environment([], servers);
        assert_eq!(values.get("valkey_url").map(String::as_str), Some(""));
        assert!(!values.contains_key("valkey_origin"));
    }
}
