//! This machine: home, settings, disk, clock. Nothing leaves it.

use std::time::{Duration, SystemTime};

use super::check::Check;
use crate::{
    cli::{context::Context, guest::Probe, table::bytes, word::word},
    config::{Home, program},
};

/// Room below which results soon have no place, bytes.
const ROOM: u64 = 1 << 30;

/// 2026-01-01: a clock before it is wrong, and signatures with it.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

pub(super) fn checks(cx: &Context) -> Vec<Check> {
    let home = match cx.home() {
        Ok(home) => home,
        Err(failure) => return vec![Check::fail("home", failure.message, "Set $TIMEROSE_PATH.")],
    };
    vec![
        folder(&home),
        settings(cx),
        room(&home),
        clock(SystemTime::now()),
        guests(),
    ]
}

/// How far the process in which guests run is shut in: one is started, and
/// tries to get out.
fn guests() -> Check {
    const NAME: &str = "guests";
    let probe = match probe() {
        Ok(probe) => probe,
        Err(error) => {
            let finding = format!("their process cannot be looked at: {error}");
            return Check::warn(NAME, finding, "See docs/security.md.");
        }
    };
    let level = probe.level.describe();
    match (probe.level.is_full(), probe.escapes.as_slice()) {
        (true, []) => Check::ok(NAME, format!("shut in by {level}")),
        (_, []) => Check::warn(NAME, level, "A kernel of 6.2 or newer allows all of it."),
        (_, escapes) => {
            let finding = format!("{level}; one that got out could {}", escapes.join(", "));
            Check::warn(NAME, finding, "See docs/security.md.")
        }
    }
}

fn probe() -> std::io::Result<Probe> {
    let place = tempfile::tempdir()?;
    let mut process = std::process::Command::new(program()?);
    process
        .args(["sandbox-worker", "--probe", "--write"])
        .arg(place.path());
    let said = process.output()?;
    serde_json::from_slice(&said.stdout).map_err(Into::into)
}

fn folder(home: &Home) -> Check {
    let path = home.path().display();
    match home.mode() {
        Err(_) => Check::warn("home", format!("{path} is not there yet"), "timerose init"),
        Ok(mode) if mode & 0o077 != 0 => Check::fail(
            "home",
            format!("{path} is open to others ({mode:o})"),
            format!("chmod 700 {}", word(home.path())),
        ),
        Ok(_) => Check::ok("home", path.to_string()),
    }
}

fn settings(cx: &Context) -> Check {
    match cx.config(toml::Table::new()) {
        Ok(_) => Check::ok("settings", "they make sense"),
        Err(failure) => Check::fail("settings", failure.message, "See docs/config.md."),
    }
}

fn room(home: &Home) -> Check {
    let place = home
        .path()
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(home.path());
    match rustix::fs::statvfs(place) {
        Err(error) => Check::warn(
            "disk",
            format!("cannot be asked: {error}"),
            "Look at it with df.",
        ),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let finding = format!("{} free", bytes(free));
            if free < ROOM {
                return Check::warn("disk", finding, "timerose gc, then ipfs repo gc");
            }
            Check::ok("disk", finding)
        }
    }
}

fn clock(now: SystemTime) -> Check {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    if since < EPOCH {
        return Check::fail(
            "clock",
            "it is in the past",
            "Set it, or start a time service.",
        );
    }
    Check::ok("clock", "plausible")
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_clock_that_was_never_set_is_found() {
        assert_eq!(clock(SystemTime::UNIX_EPOCH).state, State::Fail);
    }

    #[test]
    fn a_home_that_others_can_read_is_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(folder(&Home::at(dir.path())).state, State::Fail);
    }
}
