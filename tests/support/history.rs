//! What callers saw, and the judge of it.
//!
//! Takes submissions and results as they happen, gives what is wrong with them
//! by class. Knows nothing of nodes; the oracle says what each result should
//! have been.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

/// How much later than its deadline an invocation may end: a lease and grace.
const BOUND: Duration = Duration::from_secs(30);

/// Something that a caller saw. A key names what the caller wants, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A submission set out; it has `within` from its acknowledgement.
    Asked {
        key: String,
        input: String,
        within: Duration,
    },
    /// It was acknowledged under this name.
    Acknowledged { key: String, invocation: String },
    /// It succeeded, with this receipt.
    Succeeded { invocation: String, receipt: String },
    /// It ended without a result.
    Failed { invocation: String, class: String },
    /// Its output was fetched; none where that failed.
    Fetched {
        invocation: String,
        output: Option<Vec<u8>>,
    },
}

/// What was wrong, each class with the names that it befell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Acknowledged and never ended.
    pub lost: BTreeSet<String>,
    /// More than one end, or one key with more than one invocation.
    pub double: BTreeSet<String>,
    /// The output is not the oracle's.
    pub wrong: BTreeSet<String>,
    /// An end that nobody asked for.
    pub phantom: BTreeSet<String>,
    /// Ended later than its deadline and the bound.
    pub stuck: BTreeSet<String>,
    /// Succeeded, and its output could not be had.
    pub unfetchable: BTreeSet<String>,
    /// Ended without a result, by class. Legal; whether it was expected is the
    /// test's to say.
    pub failed: BTreeMap<String, u64>,
    /// Succeeded with the right output.
    pub succeeded: u64,
}

impl Verdict {
    /// Nothing of it is against the promises.
    pub(crate) fn is_clean(&self) -> bool {
        [
            &self.lost,
            &self.double,
            &self.wrong,
            &self.phantom,
            &self.stuck,
            &self.unfetchable,
        ]
        .iter()
        .all(|class| class.is_empty())
    }
}

/// What was noted so far. Shared by callers.
#[derive(Debug)]
pub(crate) struct History {
    began: Instant,
    events: Mutex<Vec<(Duration, Event)>>,
}

impl History {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            events: Mutex::default(),
        }
    }

    /// Notes what happened just now.
    pub(crate) fn note(&self, event: Event) {
        let at = self.began.elapsed();
        self.events.lock().unwrap().push((at, event));
    }

    /// Judges what was noted.
    pub(crate) fn judge(&self, oracle: impl Fn(&str) -> Vec<u8>) -> Verdict {
        judge(&self.events.lock().unwrap(), oracle)
    }

    /// Fails unless `count` submissions all succeeded with the right output.
    #[track_caller]
    pub(crate) fn all_succeeded(&self, count: u64, oracle: impl Fn(&str) -> Vec<u8>) {
        let expected = Verdict {
            succeeded: count,
            ..Verdict::default()
        };
        assert_eq!(self.judge(oracle), expected);
    }
}

/// What is known of one acknowledged invocation.
struct Known {
    key: String,
    since: Duration,
    ends: Vec<Duration>,
    /// The same one told twice is one result.
    receipts: BTreeSet<String>,
    outputs: Vec<Vec<u8>>,
}

/// What a caller wants under one key.
struct Wish {
    input: String,
    within: Duration,
    invocations: BTreeSet<String>,
}

/// Judges events in the order in which they happened.
pub(crate) fn judge(events: &[(Duration, Event)], oracle: impl Fn(&str) -> Vec<u8>) -> Verdict {
    let mut bench = Bench::default();
    for (at, event) in events {
        bench.hear(*at, event);
    }
    bench.sentence(oracle)
}

/// The judge's notes.
#[derive(Default)]
struct Bench {
    wishes: BTreeMap<String, Wish>,
    known: BTreeMap<String, Known>,
    verdict: Verdict,
}

impl Bench {
    fn hear(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Asked { key, input, within } => {
                self.wishes.entry(key.clone()).or_insert_with(|| Wish {
                    input: input.clone(),
                    within: *within,
                    invocations: BTreeSet::new(),
                });
            }
            Event::Acknowledged { key, invocation } => self.acknowledged(at, key, invocation),
            Event::Succeeded {
                invocation,
                receipt,
            } => {
                if let Some(known) = self.of(invocation)
                    && known.receipts.insert(receipt.clone())
                {
                    known.ends.push(at);
                }
            }
            Event::Failed { invocation, class } => {
                if let Some(known) = self.of(invocation) {
                    known.ends.push(at);
                    *self.verdict.failed.entry(class.clone()).or_default() += 1;
                }
            }
            Event::Fetched { invocation, output } => {
                if let Some(known) = self.of(invocation) {
                    known.outputs.extend(output.clone());
                }
            }
        }
    }

    fn acknowledged(&mut self, at: Duration, key: &str, invocation: &str) {
        let Some(wish) = self.wishes.get_mut(key) else {
            self.verdict.phantom.insert(invocation.to_owned());
            return;
        };
        wish.invocations.insert(invocation.to_owned());
        if wish.invocations.len() > 1 {
            self.verdict.double.insert(key.to_owned());
        }
        let known = self.known.entry(invocation.to_owned());
        let known = known.or_insert_with(|| Known {
            key: key.to_owned(),
            since: at,
            ends: Vec::new(),
            receipts: BTreeSet::new(),
            outputs: Vec::new(),
        });
        // One name for two wishes: one of them has no invocation of its own.
        if known.key != key {
            self.verdict.lost.insert(key.to_owned());
        }
    }

    fn of(&mut self, invocation: &str) -> Option<&mut Known> {
        let known = self.known.get_mut(invocation);
        if known.is_none() {
            self.verdict.phantom.insert(invocation.to_owned());
        }
        known
    }

    fn sentence(mut self, oracle: impl Fn(&str) -> Vec<u8>) -> Verdict {
        let verdict = &mut self.verdict;
        for (invocation, known) in &self.known {
            let name = || invocation.clone();
            let Some(wish) = self.wishes.get(&known.key) else {
                continue;
            };
            match known.ends.as_slice() {
                [] => drop(verdict.lost.insert(name())),
                [end] if *end > known.since + wish.within + BOUND => {
                    verdict.stuck.insert(name());
                }
                [_] => {}
                _ => drop(verdict.double.insert(name())),
            }
            if known.receipts.is_empty() {
                continue;
            }
            let right = oracle(&wish.input);
            if known.outputs.is_empty() {
                verdict.unfetchable.insert(name());
            } else if known.outputs.iter().any(|output| *output != right) {
                verdict.wrong.insert(name());
            } else {
                verdict.succeeded += 1;
            }
        }
        self.verdict
    }
}
