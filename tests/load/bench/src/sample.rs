//! What one run came to, and what several did.

use std::time::Duration;

use crate::wrk::Outcome;

/// The figures of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Requests per second.
    pub(crate) rate: f64,
    /// Latencies, in milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Time of the server's process per request, in microseconds.
    pub(crate) cpu: f64,
}

impl Sample {
    pub(crate) fn new(outcome: &Outcome, cpu: Duration) -> Self {
        let requests = outcome.requests as f64;
        Self {
            rate: requests / (outcome.duration_us as f64 / 1e6),
            p50: outcome.p50_us as f64 / 1e3,
            p99: outcome.p99_us as f64 / 1e3,
            cpu: cpu.as_secs_f64() * 1e6 / requests,
        }
    }

    /// The median of each figure; none of no samples.
    pub(crate) fn median(samples: &[Self]) -> Option<Self> {
        Some(Self {
            rate: median(samples.iter().map(|sample| sample.rate))?,
            p50: median(samples.iter().map(|sample| sample.p50))?,
            p99: median(samples.iter().map(|sample| sample.p99))?,
            cpu: median(samples.iter().map(|sample| sample.cpu))?,
        })
    }
}

/// The one in the middle, or the mean of the two that are.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    let lower = *figures.get((figures.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_bad_run() {
        assert_eq!(median([3.0, 1.0, 100.0].into_iter()), Some(3.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0].into_iter()), Some(3.0));
        assert_eq!(median([7.0].into_iter()), Some(7.0));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn each_figure_has_its_own_median() {
        let sample = |rate, p99| Sample {
            rate,
            p50: 1.0,
            p99,
            cpu: 2.0,
        };
        let all = [sample(1.0, 30.0), sample(2.0, 10.0), sample(3.0, 20.0)];
        assert_eq!(Sample::median(&all), Some(sample(2.0, 20.0)));
    }

    #[test]
    fn figures_are_per_second_and_per_request() {
        let line = r#"{"requests":20000,"duration_us":2000000,"p50_us":1500,"p99_us":9000,"turns":0,"errors":{"connect":0,"read":0,"write":0,"status":0,"timeout":0}}"#;
        let outcome = Outcome::parse(line).unwrap();
        let sample = Sample::new(&outcome, Duration::from_millis(500));
        assert_eq!(
            sample,
            Sample {
                rate: 10_000.0,
                p50: 1.5,
                p99: 9.0,
                cpu: 25.0
            }
        );
    }
}
