//! The scripts of developers: they parse, and they count honestly.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `steps` between the beginning and the end of a script like `check`.
fn counted(steps: &str) -> (Vec<String>, bool) {
    let script = format!(". scripts/lib.sh\nset -euo pipefail\nbegin_steps\n{steps}\nfinish_steps");
    let Output { stdout, status, .. } = Command::new("bash")
        .args(["-c", &script])
        .env_remove("TIMEROSE_SKIPPED")
        .current_dir(root())
        .output()
        .unwrap();
    let lines = String::from_utf8(stdout).unwrap();
    (lines.lines().map(str::to_owned).collect(), status.success())
}

fn result(passed: u32, failed: u32, ignored: u32) -> String {
    let word = if failed == 0 { "ok" } else { "FAILED" };
    format!(
        "test result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out; finished in 0.01s"
    )
}

#[test]
fn the_last_line_sums_up_every_test_binary() {
    let steps = format!(
        "step one echo '{}'\nstep two printf '%s\\n' 'noise' '{}'",
        result(3, 0, 1),
        result(4, 0, 0)
    );
    let (lines, ok) = counted(&steps);
    assert_eq!(lines.last().unwrap(), "7 passed, 0 failed, 1 skipped");
    assert!(ok);
}

#[test]
fn a_test_that_could_not_run_counts_as_skipped_and_is_named() {
    let steps = format!(
        "step one echo '{}'\necho 'sandbox::x: no compiler' >>\"$TIMEROSE_SKIPPED\"",
        result(3, 0, 0)
    );
    let (lines, ok) = counted(&steps);
    assert_eq!(lines.last().unwrap(), "2 passed, 0 failed, 1 skipped");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("sandbox::x: no compiler"))
    );
    assert!(ok);
}

#[test]
fn a_step_without_tests_that_fails_counts_as_a_failure() {
    let steps = format!("step lint false\nstep one echo '{}'", result(2, 0, 0));
    let (lines, ok) = counted(&steps);
    assert_eq!(lines.last().unwrap(), "2 passed, 1 failed, 0 skipped");
    assert!(!ok, "the exit code hides the failure");
}

#[test]
fn a_failed_test_is_counted_once() {
    let steps = format!("step one sh -c \"echo '{}'; exit 101\"", result(2, 1, 0));
    let (lines, ok) = counted(&steps);
    assert_eq!(lines.last().unwrap(), "2 passed, 1 failed, 0 skipped");
    assert!(!ok);
}

#[test]
fn a_test_binary_that_dies_without_a_result_counts_as_a_failure() {
    let (lines, ok) = counted("step one sh -c 'kill -KILL $$'");
    assert_eq!(lines.last().unwrap(), "0 passed, 1 failed, 0 skipped");
    assert!(!ok);
}

#[test]
fn a_pre_release_is_older_than_its_release() {
    let versions = [
        ("0.43.0", true),
        ("0.43.1", true),
        ("0.100.0", true),
        ("1.0.0-rc1", true),
        ("0.43.0-rc1", false),
        ("0.9.9", false),
    ];
    for (version, enough) in versions {
        let script = format!(". scripts/lib.sh; at_least {version} 0.43.0");
        let status = Command::new("bash")
            .args(["-c", &script])
            .current_dir(root())
            .status();
        assert_eq!(status.unwrap().success(), enough, "{version}");
    }
}

#[test]
fn every_script_parses_and_can_be_run() {
    let mut seen = 0;
    for folder in ["scripts", ".ci", "kubo-config"] {
        for entry in root().join(folder).read_dir().unwrap().map(Result::unwrap) {
            let path = entry.path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if text.starts_with("#!") {
                check(&path);
                seen += 1;
            }
        }
    }
    assert!(seen > 6, "the scripts are elsewhere now");
}

fn check(path: &Path) {
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{} is not executable", path.display());
    let parsed = Command::new("bash").arg("-n").arg(path).status().unwrap();
    assert!(parsed.success(), "{} does not parse", path.display());
}
