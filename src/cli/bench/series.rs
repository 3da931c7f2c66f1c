//! What was measured of one thing, run by run. Pure: numbers in, numbers out.

use std::time::Duration;

/// The runs of one measurement.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    runs: Vec<f64>,
    samples: Vec<f64>,
}

impl Series {
    /// Another run of single latencies, in milliseconds; one without any
    /// counts for nothing.
    pub(super) fn add_latencies(&mut self, samples: &[f64]) {
        self.runs.extend(percentile(samples, 50));
        self.samples.extend(samples);
    }

    /// Another run that has a rate, in things per second.
    pub(super) fn add_rate(&mut self, rate: f64) {
        self.runs.push(rate);
    }

    /// The figure of each run: the median of its latencies, or its rate.
    pub(super) fn runs(&self) -> &[f64] {
        &self.runs
    }

    /// The run in the middle.
    pub(super) fn median(&self) -> Option<f64> {
        percentile(&self.runs, 50)
    }

    /// The runs with the least and the largest figure.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        percentile(&self.runs, 0).zip(percentile(&self.runs, 100))
    }

    /// Of the latencies of all runs together.
    pub(super) fn percentile(&self, percent: usize) -> Option<f64> {
        percentile(&self.samples, percent)
    }

    /// How many latencies there are.
    pub(super) fn count(&self) -> usize {
        self.samples.len()
    }
}

/// The nearest rank: a value that was really seen.
fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied()
}

/// As a sample.
pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// As a rate.
pub(super) fn per_second(count: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 happen")]
    let count = count as f64;
    count / took.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_seen() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let at = |percent| percentile(&values, percent).unwrap();
        assert_eq!((at(0), at(50), at(99), at(100)), (1.0, 100.0, 198.0, 200.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn a_figure_is_the_median_of_the_medians_of_its_runs() {
        let mut series = Series::default();
        for run in [
            [9.0, 1.0, 2.0],
            [5.0, 4.0, 900.0],
            [3.0, 3.0, 3.0],
            [8.0; 3],
            [1.0; 3],
        ] {
            series.add_latencies(&run);
        }
        series.add_latencies(&[]);
        assert_eq!(series.runs(), [2.0, 5.0, 3.0, 8.0, 1.0]);
        assert_eq!(series.median(), Some(3.0));
        assert_eq!(series.range(), Some((1.0, 8.0)));
        assert_eq!((series.percentile(100), series.count()), (Some(900.0), 15));
    }

    #[test]
    fn a_rate_counts_per_second() {
        assert!((per_second(500, Duration::from_millis(250)) - 2_000.0).abs() < 1e-9);
        assert!((millis(Duration::from_micros(1_500)) - 1.5).abs() < 1e-9);
    }
}
