//! What came out, as a table and as JSON. Pure: measurements in, text out.
//!
//! The JSON's paths are the keys of the figures: `floor.fsync_per_s` is the
//! member `fsync_per_s` of the object `floor`. A figure that could not be had
//! is null, and `missing` says why.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    carrier::Carrier,
    load::Tally,
    plan::{CALLERS, INPUT_BYTES},
    series::Series,
};
use crate::cli::table::table;

/// What was measured over one carrier.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// The echo between the Kubos.
    pub(super) echo: Series,
    /// The link's round trip, as the node that invokes knows it.
    pub(super) link: Series,
    /// Invocations, one after the other.
    pub(super) warm: Series,
    /// Invocations from many callers.
    pub(super) held: Series,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Over pubsub.
    pub(super) pubsub: Pass,
    /// Over a stream.
    pub(super) stream: Pass,
    /// Appends to a file.
    pub(super) fsync: Series,
    /// Durable invocations, and what carried them.
    pub(super) durable: Series,
    /// What carried them.
    pub(super) durable_over: Option<Carrier>,
    /// How the invocations ended.
    pub(super) tally: Tally,
    /// Why a figure is not there, by its key.
    pub(super) missing: BTreeMap<&'static str, String>,
    /// The version of the Kubo beside the node that invokes.
    pub(super) kubo: String,
}

/// One figure, and the floor that it stands on.
struct Figure<'a> {
    key: &'static str,
    name: &'static str,
    series: &'a Series,
    floor: Option<&'a Series>,
}

impl Measured {
    /// What was measured over `carrier`.
    pub(super) const fn pass(&mut self, carrier: Carrier) -> &mut Pass {
        match carrier {
            Carrier::Pubsub => &mut self.pubsub,
            Carrier::Stream => &mut self.stream,
        }
    }

    /// Notes why nothing was measured over `carrier`.
    pub(super) fn misses(&mut self, carrier: Carrier, why: &str) {
        let keys = match carrier {
            Carrier::Pubsub => [
                "link.pubsub_rtt_ms",
                "warm.pubsub_p50_ms",
                "held_per_s.pubsub",
            ],
            Carrier::Stream => [
                "link.stream_rtt_ms",
                "warm.stream_p50_ms",
                "held_per_s.stream",
            ],
        };
        for key in keys {
            self.missing.insert(key, why.to_owned());
        }
    }

    /// Notes why there is no echo over `carrier`.
    pub(super) fn misses_echo(&mut self, carrier: Carrier, why: &str) {
        let key = match carrier {
            Carrier::Pubsub => "floor.pubsub_echo_p50_ms",
            Carrier::Stream => "floor.stream_echo_p50_ms",
        };
        self.missing.insert(key, why.to_owned());
    }

    /// In the order of the table.
    #[rustfmt::skip]
    fn figures(&self) -> [Figure<'_>; 10] {
        let (pubsub, stream) = (&self.pubsub, &self.stream);
        let figure = |key, name, series, floor| Figure { key, name, series, floor };
        [
            figure("floor.pubsub_echo_p50_ms", "pubsub echo, ms", &pubsub.echo, None),
            figure("link.pubsub_rtt_ms", "link over pubsub, ms", &pubsub.link, Some(&pubsub.echo)),
            figure("warm.pubsub_p50_ms", "warm over pubsub, ms", &pubsub.warm, Some(&pubsub.echo)),
            figure("floor.stream_echo_p50_ms", "stream echo, ms", &stream.echo, None),
            figure("link.stream_rtt_ms", "link over a stream, ms", &stream.link, Some(&stream.echo)),
            figure("warm.stream_p50_ms", "warm over a stream, ms", &stream.warm, Some(&stream.echo)),
            figure("held_per_s.pubsub", "held over pubsub, /s", &pubsub.held, None),
            figure("held_per_s.stream", "held over a stream, /s", &stream.held, None),
            figure("floor.fsync_per_s", "append and fsync, /s", &self.fsync, None),
            figure("durable_per_s", "durable, /s", &self.durable, Some(&self.fsync)),
        ]
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let header = [
            "FIGURE", "MEDIAN", "MIN", "MAX", "P90", "P99", "FLOOR", "RATIO",
        ];
        let rows = self.figures().map(|figure| figure.row());
        let (done, lost) = (self.tally.done, self.tally.lost);
        format!(
            "{}\n\nmedian, least and largest of {} runs; {} of {} invocations lost",
            table(&header, rows),
            self.runs(),
            lost,
            done + lost,
        )
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let mut root = Map::new();
        for figure in self.figures() {
            figure.put(&mut root);
        }
        let count = json!({
            "runs": self.runs(),
            "warm": self.pubsub.warm.count() + self.stream.warm.count(),
            "echo": self.pubsub.echo.count() + self.stream.echo.count(),
            "succeeded": self.tally.done,
        });
        let setup = json!({
            "callers": CALLERS,
            "input_bytes": INPUT_BYTES,
            "durable_carrier": self.durable_over.map(Carrier::as_str),
            "timerose": env!("CARGO_PKG_VERSION"),
            "kubo": self.kubo,
        });
        root.insert("lost".to_owned(), json!(self.tally.lost));
        root.insert("count".to_owned(), count);
        root.insert("setup".to_owned(), setup);
        root.insert("missing".to_owned(), json!(self.missing));
        root.into()
    }

    fn runs(&self) -> usize {
        let figures = self.figures();
        let runs = figures.iter().map(|figure| figure.series.runs().len());
        runs.max().unwrap_or(0)
    }
}

impl Figure<'_> {
    fn ratio(&self) -> Option<f64> {
        let floor = self.floor.and_then(Series::median)?;
        Some(self.series.median()? / floor)
    }

    fn row(&self) -> Vec<String> {
        let series = self.series;
        let (least, largest) = series.range().unzip();
        vec![
            self.name.to_owned(),
            shown(series.median()),
            shown(least),
            shown(largest),
            shown(series.percentile(90)),
            shown(series.percentile(99)),
            shown(self.floor.and_then(Series::median)),
            self.ratio().map_or_else(String::new, |r| format!("{r:.2}")),
        ]
    }

    /// The figure at its key, and beside it what else is known of it: its
    /// runs, further percentiles, the ratio to its floor.
    fn put(&self, root: &mut Map<String, Value>) {
        put(root, self.key, number(self.series.median()));
        let runs: Vec<Value> = self
            .series
            .runs()
            .iter()
            .map(|r| number(Some(*r)))
            .collect();
        put(root, &format!("runs.{}", self.key), runs.into());
        if let Some(start) = self.key.strip_suffix("_p50_ms") {
            for percent in [90, 99] {
                let key = format!("{start}_p{percent}_ms");
                put(root, &key, number(self.series.percentile(percent)));
            }
        }
        if self.floor.is_some() {
            put(root, &format!("ratio.{}", self.key), number(self.ratio()));
        }
    }
}

/// Puts a value where the dots of its key say.
fn put(root: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            root.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = root.entry(first).or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// With three decimals, or null.
fn number(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!((value * 1e3).round() / 1e3))
}

/// As many digits as mean something.
fn shown(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value < 10.0 => format!("{value:.3}"),
        Some(value) if value < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let mut measured = Measured {
            kubo: "0.43.0".to_owned(),
            durable_over: Some(Carrier::Pubsub),
            tally: Tally {
                done: 1_234,
                ..Tally::default()
            },
            ..Measured::default()
        };
        for run in [4.4, 4.2, 4.6] {
            measured
                .pubsub
                .echo
                .add_latencies(&[run, run + 1.0, run - 1.0]);
            measured.pubsub.link.add_latencies(&[run * 1.1]);
            measured.pubsub.warm.add_latencies(&[run * 1.25, run * 1.3]);
            measured.pubsub.held.add_rate(run * 250.0);
            measured.fsync.add_rate(run * 1_000.0);
            measured.durable.add_rate(run * 200.0);
        }
        measured.misses(Carrier::Stream, "no streams here");
        measured
    }

    #[test]
    fn the_json_has_the_keys_that_scripts_rely_on() {
        insta::assert_snapshot!(measured().json().to_string(), @r#"{"count":{"echo":9,"runs":3,"succeeded":1234,"warm":6},"durable_per_s":880.0,"floor":{"fsync_per_s":4400.0,"pubsub_echo_p50_ms":4.4,"pubsub_echo_p90_ms":5.6,"pubsub_echo_p99_ms":5.6,"stream_echo_p50_ms":null,"stream_echo_p90_ms":null,"stream_echo_p99_ms":null},"held_per_s":{"pubsub":1100.0,"stream":null},"link":{"pubsub_rtt_ms":4.84,"stream_rtt_ms":null},"lost":0,"missing":{"held_per_s.stream":"no streams here","link.stream_rtt_ms":"no streams here","warm.stream_p50_ms":"no streams here"},"ratio":{"durable_per_s":0.2,"link":{"pubsub_rtt_ms":1.1,"stream_rtt_ms":null},"warm":{"pubsub_p50_ms":1.25,"stream_p50_ms":null}},"runs":{"durable_per_s":[880.0,840.0,920.0],"floor":{"fsync_per_s":[4400.0,4200.0,4600.0],"pubsub_echo_p50_ms":[4.4,4.2,4.6],"stream_echo_p50_ms":[]},"held_per_s":{"pubsub":[1100.0,1050.0,1150.0],"stream":[]},"link":{"pubsub_rtt_ms":[4.84,4.62,5.06],"stream_rtt_ms":[]},"warm":{"pubsub_p50_ms":[5.5,5.25,5.75],"stream_p50_ms":[]}},"setup":{"callers":64,"durable_carrier":"pubsub","input_bytes":128,"kubo":"0.43.0","timerose":"0.1.0"},"warm":{"pubsub_p50_ms":5.5,"pubsub_p90_ms":5.98,"pubsub_p99_ms":5.98,"stream_p50_ms":null,"stream_p90_ms":null,"stream_p99_ms":null}}"#);
    }

    #[test]
    fn the_table_puts_each_figure_beside_its_floor() {
        insta::assert_snapshot!(measured().table(), @"
        FIGURE                  MEDIAN  MIN    MAX    P90    P99    FLOOR  RATIO
        pubsub echo, ms         4.400   4.200  4.600  5.600  5.600
        link over pubsub, ms    4.840   4.620  5.060  5.060  5.060  4.400  1.10
        warm over pubsub, ms    5.500   5.250  5.750  5.980  5.980  4.400  1.25
        stream echo, ms
        link over a stream, ms
        warm over a stream, ms
        held over pubsub, /s    1100    1050   1150
        held over a stream, /s
        append and fsync, /s    4400    4200   4600
        durable, /s             880     840    920                  4400   0.20

        median, least and largest of 3 runs; 0 of 1234 invocations lost
        ");
    }
}
