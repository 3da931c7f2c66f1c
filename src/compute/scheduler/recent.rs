//! What searches found a moment ago: a call of the same function over the same
//! input asks nobody again.
//!
//! Takes surveys and the time, gives one that is fresh enough, and says whose
//! is to be made anew beside. An executor that cannot run the call after all
//! declines it, which forgets the survey. A table, nothing more.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cid::Cid;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{placement::Survey, prepare::Prepared};
use crate::model::PeerId;

/// A survey is used for so long.
const FRESH: Duration = Duration::from_secs(10);
/// One that is older and still used is made anew beside.
const DUE: Duration = Duration::from_secs(1);
const MAX_SURVEYS: usize = 1_024;

/// What a search depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    function: Cid,
    input: Option<Cid>,
    only: Option<PeerId>,
}

impl Key {
    /// Of a call.
    pub(super) const fn of(prepared: &Prepared) -> Self {
        let input = match (prepared.input_rides, prepared.call.input) {
            (true, _) | (_, None) => None,
            (false, sought) => sought,
        };
        Self {
            function: prepared.call.function,
            input,
            only: prepared.only,
        }
    }
}

#[derive(Debug)]
struct Kept {
    survey: Arc<Survey>,
    at: Instant,
    is_made_anew: bool,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: Mutex<HashMap<Key, Kept>>,
}

impl Recent {
    /// A survey that is fresh, and whether the caller is to make it anew.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<(Arc<Survey>, bool)> {
        let mut table = self.kept.lock();
        let kept = table.get_mut(key)?;
        let age = now.saturating_duration_since(kept.at);
        if age >= FRESH {
            table.remove(key);
            return None;
        }
        let is_due = age >= DUE && !std::mem::replace(&mut kept.is_made_anew, age >= DUE);
        Some((Arc::clone(&kept.survey), is_due))
    }

    /// Keeps a survey that found somebody; one that found nobody is no reason
    /// not to look again.
    pub(super) fn put(&self, key: Key, survey: &Arc<Survey>, now: Instant) {
        let mut table = self.kept.lock();
        if !survey.found_somebody() {
            table.remove(&key);
            return;
        }
        if table.len() >= MAX_SURVEYS {
            table.retain(|_, kept| now.saturating_duration_since(kept.at) < DUE);
        }
        let kept = Kept {
            survey: Arc::clone(survey),
            at: now,
            is_made_anew: false,
        };
        table.insert(key, kept);
    }

    /// What was found does not hold.
    pub(super) fn forget(&self, key: &Key) {
        self.kept.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            function: crate::wire::cid_of(0x55, b"f"),
            input: None,
            only: None,
        }
    }

    #[test]
    fn a_survey_in_use_is_made_anew_by_one_caller_after_a_second() {
        let (recent, start) = (Recent::default(), Instant::now());
        recent.put(key(), &Arc::new(Survey::of_one()), start);
        let due = |after| recent.get(&key(), start + after).map(|(_, is_due)| is_due);
        assert_eq!(due(DUE / 2), Some(false));
        assert_eq!(due(DUE), Some(true));
        assert_eq!(due(DUE * 2), Some(false));
        assert_eq!(due(FRESH), None);
    }

    #[test]
    fn finding_nobody_is_not_remembered() {
        let (recent, now) = (Recent::default(), Instant::now());
        recent.put(key(), &Arc::new(Survey::of_one()), now);
        recent.put(key(), &Arc::new(Survey::default()), now);
        assert!(recent.get(&key(), now).is_none());
    }
}
