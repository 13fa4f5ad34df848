//! The forms in which Prometheus reads metrics.

/// Which of the two a scraper is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own, which every scraper and every person reads.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// What a scraper takes that sent this `Accept` header: OpenMetrics where it is
    /// named, whatever it is weighed against, for only scrapers name it.
    pub fn accepted(accept: Option<&http::HeaderValue>) -> Self {
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let takes = |media: &str| {
            let mut parts = media.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            named && !parts.any(|part| part == "q=0" || part == "version=0.0.1")
        };
        match accept {
            Some(accept) if accept.split(',').any(takes) => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What is said in this form of what was encoded as OpenMetrics.
    pub(super) fn of(self, encoded: String) -> String {
        match self {
            Self::OpenMetrics => encoded,
            Self::Text => as_text(&encoded),
        }
    }
}

/// There a family bears the name of its samples, and there are fewer kinds; units and
/// the end are not said.
fn as_text(encoded: &str) -> String {
    let mut text = String::with_capacity(encoded.len());
    let mut help = None;
    for line in encoded.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, words)) = help.take_if(|(helped, _)| *helped == name) {
                text.extend(["# HELP ", name, suffix, " ", words, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_name() {
        let accepted = |accept: &'static str| {
            Exposition::accepted(Some(&http::HeaderValue::from_static(accept)))
        };
        for prometheus in [
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
            "application/OpenMetrics-text; version=1.0.0",
        ] {
            assert_eq!(
                accepted(prometheus),
                Exposition::OpenMetrics,
                "{prometheus}"
            );
        }
        for other in ["text/plain", "*/*", "application/openmetrics-text;q=0, */*"] {
            assert_eq!(accepted(other), Exposition::Text, "{other}");
        }
        assert_eq!(Exposition::accepted(None), Exposition::Text);
    }

    #[test]
    fn counters_are_named_as_their_samples_are() {
        let encoded = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                       a_seconds_total{b=\"# TYPE\"} 1\n# HELP c Things.\n# TYPE c gauge\nc 2\n\
                       # HELP d What.\n# TYPE d info\nd_info{v=\"1\"} 1\n# EOF\n";
        let text = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\n\
                    a_seconds_total{b=\"# TYPE\"} 1\n# HELP c Things.\n# TYPE c gauge\nc 2\n\
                    # HELP d_info What.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n";
        assert_eq!(Exposition::Text.of(encoded.to_owned()), text);
        assert_eq!(Exposition::OpenMetrics.of(encoded.to_owned()), encoded);
    }
}
