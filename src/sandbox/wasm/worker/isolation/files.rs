//! Landlock: which files this process may reach, and no port at all.

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, path_beneath_rules,
};

use super::Places;

/// The newest that is asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

/// Restricts this process; whether the kernel knows how.
pub(super) fn restrict(places: &Places) -> bool {
    attempt(places).is_ok_and(|status| status != RulesetStatus::NotEnforced)
}

fn attempt(places: &Places) -> Result<RulesetStatus, landlock::RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // Programs, devices and sockets have no place in an output.
    let never = AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::MakeSock;
    let write = AccessFs::from_all(NEWEST) & !never;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(&places.read, read))?
        .add_rules(path_beneath_rules(&places.write, write))?
        .restrict_self()?;
    Ok(status.ruleset)
}
