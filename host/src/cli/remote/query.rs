//! Paths and queries of the admin port.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what never means anything by itself. A space is `%20`: `+` is one in
/// forms only.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where `what` of a component is.
pub(in crate::cli) fn component_path(name: &str, what: &str) -> String {
    let name = utf8_percent_encode(name, RESERVED);
    format!("/v1/components/{name}/{what}")
}

/// The parameters of a request.
#[derive(Debug, Default)]
pub(in crate::cli) struct Query(String);

impl Query {
    /// With `name=value`, where there is a value.
    #[must_use]
    pub(in crate::cli) fn text(mut self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.is_empty() { '?' } else { '&' });
            let value = utf8_percent_encode(value.as_ref(), RESERVED);
            self.0.push_str(&format!("{name}={value}"));
        }
        self
    }

    /// With `name=true`, where it is.
    #[must_use]
    pub(in crate::cli) fn flag(self, name: &str, on: bool) -> Self {
        self.text(name, on.then_some("true"))
    }

    /// The path with these parameters.
    pub(in crate::cli) fn of(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_place() {
        let query = Query::default()
            .text("digest", Some("3fa2"))
            .text("canary", None::<&str>)
            .text("note", Some("a+b = c&force=true\n#é"))
            .flag("force", false)
            .flag("wait", true);
        assert_eq!(
            query.of(&component_path("user-bulk", "deploy")),
            "/v1/components/user-bulk/deploy?digest=3fa2\
             &note=a%2Bb%20%3D%20c%26force%3Dtrue%0A%23%C3%A9&wait=true"
        );
        assert_eq!(
            Query::default().of(&component_path("a/../b?c", "revisions")),
            "/v1/components/a%2F..%2Fb%3Fc/revisions"
        );
    }
}
