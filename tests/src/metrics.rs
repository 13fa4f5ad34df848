//! Reads the Prometheus text format.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::Api;

/// One reading of all metrics.
#[derive(Debug)]
pub struct Scrape {
    samples: Vec<Sample>,
}

/// A line of the text format.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Reads `/metrics` of the given port.
pub async fn scrape(address: SocketAddr) -> Scrape {
    Scrape::parse(&Api::new(address).get("/metrics").await.expect(200).text())
}

impl Scrape {
    /// # Panics
    /// Where a line is not of the format.
    pub fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| sample(line).unwrap_or_else(|| panicking(line)))
            .collect();
        Self { samples }
    }

    /// The sum over all samples of this name that carry these labels; none
    /// where no sample does.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self
            .samples
            .iter()
            .filter(|sample| sample.name == name && sample.carries(labels))
            .map(|sample| sample.value)
            .peekable();
        found.peek()?;
        Some(found.sum())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.iter().map(|sample| sample.name.as_str())
    }

    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Sample {
    fn carries(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|it| it == value))
    }
}

fn panicking(line: &str) -> Sample {
    panic!("not a line of metrics: {line:?}")
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = match line.find('}') {
        Some(end) => (&line[..=end], line[end + 1..].split_whitespace().next()?),
        None => line
            .split_once(' ')
            .map(|(name, rest)| (name, rest.split(' ').next()))
            .and_then(|(name, value)| Some((name, value?)))?,
    };
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let labels = labels
        .split("\",")
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once("=\"")?;
            Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
        })
        .collect::<Option<_>>()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_what_carries_the_labels() {
        let scrape = Scrape::parse(
            "# HELP a help\na_total{kind=\"x\",code=\"200\"} 2\na_total{kind=\"y\"} 3\nb 0.5\n",
        );
        assert_eq!(scrape.sum("a_total", &[]), Some(5.0));
        assert_eq!(scrape.sum("a_total", &[("kind", "x")]), Some(2.0));
        assert_eq!(scrape.sum("a_total", &[("kind", "z")]), None);
        assert_eq!(scrape.sum("b", &[]), Some(0.5));
    }
}
