//! A mesh in one thread and virtual time, run from a seed.
//!
//! Takes a seed and perhaps a planted bug, gives what a checker finds wrong in
//! the history of one owner and four executors under crashes, broken sessions
//! and slow messages. The two machines in it, `Lifecycle` and `Leases`, are the
//! program's own; the glue around them keeps the program's order: on disk
//! first, told afterwards. No I/O, no waiting.

mod checker;
mod doubt;
mod executor;
mod owner;
mod world;

use self::{checker::Violation, world::World};

/// What a build could get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// A submission is answered before it is on disk.
    AnswerBeforeCommit,
    /// An invocation may end twice.
    NoUniqueResult,
    /// A result of an older lease counts for code with effects.
    NoFence,
    /// Executors end leases by a clock that is not the owner's.
    WallClockLease,
    /// A repeated offer runs again.
    NoDeduplication,
    /// Every silence is believed at once.
    NoBrake,
    /// Nobody asks for what did not arrive.
    NoReconcile,
}

/// Runs one seed; gives what is wrong with its history.
fn run(seed: u64, bug: Option<Bug>) -> Vec<Violation> {
    let mut world = World::new(seed, bug);
    world.run();
    checker::check(&world)
}

/// How many seeds a change has to stand.
const SEEDS: u64 = 1_000;

/// The seeds to run: `TIMEROSE_SEEDS` of them, for longer looks.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::vars().find(|(name, _)| name == "TIMEROSE_SEEDS");
    0..asked
        .and_then(|(_, count)| count.parse().ok())
        .unwrap_or(SEEDS)
}

#[test]
fn every_seed_keeps_every_promise() {
    for seed in seeds() {
        let mut world = World::new(seed, None);
        world.run();
        let violations = checker::check(&world);
        let story = world.story.join("\n");
        assert!(
            violations.is_empty(),
            "seed {seed}: {violations:?}\n{story}"
        );
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..20 {
        let story = |seed| {
            let mut world = World::new(seed, None);
            world.run();
            world.story
        };
        assert_eq!(story(seed), story(seed), "seed {seed}");
    }
}

/// How many second tries a cut from all executors, shorter than a ttl, leads
/// to while six invocations run, and how many of them ran.
fn tries_after_a_cut(seed: u64, bug: Option<Bug>) -> (usize, usize) {
    let mut world = World::quiet(seed, bug);
    world.run();
    assert_eq!(checker::check(&world), [], "seed {seed}");
    (world.owner.offers(), world.owner.answered.len())
}

#[test]
fn an_owner_that_is_cut_off_from_all_for_less_than_a_ttl_tries_next_to_nothing_again() {
    let (mut offers, mut calls, mut unbraked) = (0, 0, 0);
    for seed in 0..200 {
        let (tried, called) = tries_after_a_cut(seed, None);
        (offers, calls) = (offers + tried, calls + called);
        unbraked += tries_after_a_cut(seed, Some(Bug::NoBrake)).0;
    }
    let (again, unbraked) = (offers - calls, unbraked - calls);
    assert!(again * 10 <= calls, "{again} of {calls} were tried again");
    assert!(
        unbraked > again * 2,
        "{unbraked} without the brake, {again} with it"
    );
}

#[test]
fn every_planted_bug_is_caught() {
    for bug in [
        Bug::AnswerBeforeCommit,
        Bug::NoUniqueResult,
        Bug::NoFence,
        Bug::WallClockLease,
        Bug::NoDeduplication,
        Bug::NoReconcile,
    ] {
        let caught = (0..SEEDS).find(|seed| !run(*seed, Some(bug)).is_empty());
        assert!(caught.is_some(), "{bug:?} was not caught in {SEEDS} seeds");
    }
}
