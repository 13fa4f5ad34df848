//! Which requests are recorded.

use opentelemetry::trace::SpanContext;

/// Which requests are recorded, by the names that OpenTelemetry gives the ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the word of who sent the request counts first.
    pub parent_based: bool,
    /// The share of the others, 0 to 1.
    pub ratio: f64,
}

/// Why a sampler is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamplerError {
    /// Its name is none of OpenTelemetry's.
    #[error("{0:?} is no sampler")]
    Name(String),
    /// Its share is none.
    #[error("{0:?} is not a number from 0 to 1")]
    Ratio(String),
}

impl Sampler {
    /// The sampler of this name; `argument` is the share of those that have one, 1
    /// where it is missing.
    ///
    /// # Errors
    ///
    /// See [`SamplerError`].
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self, SamplerError> {
        let (parent_based, rest) = match name.strip_prefix("parentbased_") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let ratio = match rest {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => argument.map_or(Ok(1.0), |text| {
                let ratio = text.trim().parse().ok();
                ratio
                    .filter(|ratio| (0.0..=1.0).contains(ratio))
                    .ok_or_else(|| SamplerError::Ratio(text.to_owned()))
            })?,
            _ => return Err(SamplerError::Name(name.to_owned())),
        };
        Ok(Self {
            parent_based,
            ratio,
        })
    }

    /// Whether a request is recorded. The word of a `parent` counts where the request
    /// is `believed`, which takes a proxy that is trusted: else any client could have
    /// all of its requests recorded, or none. `chance` is from 0 up to, not including, 1.
    pub(super) fn takes(self, parent: Option<&SpanContext>, believed: bool, chance: f64) -> bool {
        match parent {
            Some(parent) if self.parent_based && believed => parent.is_sampled(),
            _ => chance < self.ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    fn parent(flags: TraceFlags) -> SpanContext {
        let (trace, span) = (TraceId::from(1_u128), SpanId::from(1_u64));
        SpanContext::new(trace, span, flags, true, TraceState::NONE)
    }

    fn sampler(name: &str) -> Sampler {
        Sampler::parse(name, Some("0.25")).unwrap()
    }

    #[test]
    fn a_share_is_taken() {
        for name in ["traceidratio", "parentbased_traceidratio"] {
            assert!(sampler(name).takes(None, false, 0.24));
            assert!(!sampler(name).takes(None, false, 0.25));
        }
        assert!(sampler("always_on").takes(None, false, 0.999));
        assert!(!sampler("always_off").takes(None, true, 0.0));
    }

    #[test]
    fn the_parent_decides_where_it_is_believed() {
        let (sampled, not) = (parent(TraceFlags::SAMPLED), parent(TraceFlags::NOT_SAMPLED));
        let based = sampler("parentbased_traceidratio");
        assert!(based.takes(Some(&sampled), true, 0.9));
        assert!(!based.takes(Some(&not), true, 0.0));
        assert!(!based.takes(Some(&sampled), false, 0.9));
        assert!(based.takes(Some(&not), false, 0.0));
        assert!(!sampler("traceidratio").takes(Some(&sampled), true, 0.9));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (argument, shown) in [("2", "\"2\""), ("-0.1", "\"-0.1\""), ("NaN", "\"NaN\"")] {
            let error = Sampler::parse("traceidratio", Some(argument)).unwrap_err();
            assert!(error.to_string().starts_with(shown), "{error}");
        }
        let error = Sampler::parse("jaeger_remote", None).unwrap_err();
        assert_eq!(error.to_string(), "\"jaeger_remote\" is no sampler");
        assert_eq!(Sampler::parse("traceidratio", None).unwrap().ratio, 1.0);
    }
}
