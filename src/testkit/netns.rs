//! Tests in a network of their own: no address, no route, nobody else.

use std::process::Command;

const INSIDE: &str = "HOLDFAST_TEST_NETWORK";

/// Runs this very test once more, alone, in a network namespace of its own. True there: the test goes on.
/// False where it has been run so, or cannot be on this machine, which is said.
///
/// Panics where it failed there.
#[must_use]
pub fn in_own_network(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    for program in ["unshare", "ip"] {
        if Command::new(program).arg("--version").output().is_err()
            && Command::new(program).arg("-V").output().is_err()
        {
            eprintln!("SKIPPED: {program} is not here");
            return false;
        }
    }
    if !Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this user may not make a network namespace");
        return false;
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let output = Command::new("unshare")
        .arg("-n")
        .arg(program)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("it was started before");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| line.contains("SKIPPED:")).for_each(|line| eprintln!("{line}"));
    assert!(output.status.success() && text.contains("1 passed"), "in a network of its own:\n{text}");
    false
}

/// `ip` with these words.
pub fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("ip is here");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}
