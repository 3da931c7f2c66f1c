//! What a history must not show.

use super::{
    executor::outcome,
    owner::{DEADLINE, is_pure, may_repeat},
    world::World,
};

/// A broken promise, with the invocation it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// A submission was answered and has no end.
    Lost(u64),
    /// It ended more than once.
    Double(u64),
    /// Its result is not what its run gave, or of an older fence.
    Wrong(u64),
    /// A result for what nobody submitted.
    Phantom(u64),
    /// Its end came after every bound, or by its deadline long after the
    /// last fault.
    Stuck(u64),
    /// Code with effects ran twice at once.
    Overlap(u64),
}

/// Everything that is wrong.
pub(super) fn check(world: &World) -> Vec<Violation> {
    let ends = &world.owner.disk.ends;
    let answered = &world.owner.answered;
    let mut found = Vec::new();
    for id in answered {
        if !ends.contains_key(id) {
            found.push(Violation::Lost(*id));
        }
    }
    for (id, ends) in ends {
        if ends.len() > 1 {
            found.push(Violation::Double(*id));
        }
        for end in ends {
            if let Some((lease, said)) = end.result {
                let is_stale = !is_pure(*id) && !end.is_newest;
                if said != outcome(lease) || said != b'k' || is_stale {
                    found.push(Violation::Wrong(*id));
                }
                if world.owner.invocation_of(lease) != Some(*id) {
                    found.push(Violation::Phantom(*id));
                }
            }
            if end.is_late || end.at > DEADLINE + DEADLINE / 2 {
                found.push(Violation::Stuck(*id));
            }
        }
    }
    let overlaps = world
        .overlaps
        .iter()
        .filter(|id| !is_pure(**id) && !may_repeat(**id));
    found.extend(overlaps.map(|id| Violation::Overlap(*id)));
    found
}
