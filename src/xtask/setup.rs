//! Makes sure that the programs a command needs are there, and installs them where it can.
//!
//! Looks for the programs first: where all are there it does nothing and asks nobody.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::run::{self, Failure, Result, find};

/// A program and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// What a command of xtask is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum For {
    Demo,
    Test,
    Bench,
}

const MOUNT: [Need; 1] = [need("fusermount3", "fuse3")];
const TESTS: [Need; 8] = [
    need("sshd", "openssh-server"),
    need("ssh", "openssh-client"),
    need("sshfs", "sshfs"),
    need("/usr/libexec/gesftpserver", "gesftpserver"),
    need("git", "git"),
    need("sqlite3", "sqlite3"),
    need("setfattr", "attr"),
    need("rsync", "rsync"),
];
const PEERS: [Need; 6] = [
    need("git", "git"),
    need("rsync", "rsync"),
    need("unison", "unison"),
    need("rclone", "rclone"),
    need("sshd", "openssh-server"),
    need("ssh", "openssh-client"),
];

/// The package lists are taken to be good for this long.
const LISTS_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// `cargo xtask setup`.
pub fn all() -> Result<()> {
    // The demo needs a part of it.
    prepare(For::Test)?;
    rust_components()?;
    println!("Everything that the demo and the tests need is there.");
    Ok(())
}

/// Installs what is missing for `purpose`, or says what is missing and fails.
pub fn prepare(purpose: For) -> Result<()> {
    let missing = missing(purpose);
    if !missing.is_empty() {
        install(&missing)?;
        let still = self::missing(purpose);
        if !still.is_empty() {
            return Err(cannot(&still, "apt-get is done, but they are not there"));
        }
    }
    match (no_fuse(), purpose) {
        (Some(why), For::Demo) => Err(Failure::new(why)),
        (Some(why), For::Test | For::Bench) => {
            note_no_fuse(&why);
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

pub fn note_no_fuse(why: &str) {
    eprintln!("note: {why}; what needs a mount is skipped");
}

/// `rustfmt` and `clippy`, which a minimal toolchain lacks.
pub fn rust_components() -> Result<()> {
    let lacks =
        |tool: &str| !run::capture(run::cargo().args([tool, "--version"])).is_ok_and(|o| o.status.success());
    let lacking: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(tool, _)| lacks(tool))
        .map(|(_, component)| component)
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    println!("Adding to the Rust toolchain: {}", lacking.join(", "));
    run::run(Command::new("rustup").args(["component", "add"]).args(&lacking).current_dir(run::workspace()))
}

/// Why nothing can be mounted here, as far as that is seen without mounting.
pub fn no_fuse() -> Option<String> {
    let device = Path::new("/dev/fuse");
    if !device.exists() {
        return Some("there is no /dev/fuse here, so nothing can be mounted".into());
    }
    let opened: std::io::Result<File> = OpenOptions::new().read(true).write(true).open(device);
    opened.err().map(|e| {
        let cause = e.to_string();
        let cause = cause.split(" (os error").next().unwrap_or(&cause);
        format!("/dev/fuse cannot be opened ({cause}), so nothing can be mounted; ask root for access to it")
    })
}

fn missing(purpose: For) -> Vec<&'static str> {
    let more: &[Need] = match purpose {
        For::Demo => &[],
        For::Test => &TESTS,
        For::Bench => &PEERS,
    };
    missing_of(MOUNT.iter().chain(more), |program| find(program).is_some())
}

fn missing_of<'a>(
    needs: impl Iterator<Item = &'a Need>,
    is_there: impl Fn(&str) -> bool,
) -> Vec<&'static str> {
    needs.filter(|n| !is_there(n.program)).map(|n| n.package).collect()
}

fn cannot(packages: &[&str], why: &str) -> Failure {
    Failure::new(format!("these packages are missing: {} ({why})", packages.join(" ")))
}

fn install(packages: &[&'static str]) -> Result<()> {
    if find("apt-get").is_none() {
        return Err(cannot(
            packages,
            "there is no apt-get here; install them, or what your system calls them",
        ));
    }
    let Some(rights) = root_rights() else {
        return Err(cannot(
            packages,
            &format!(
                "installing them takes root, and sudo is not there or asks for a password: as root, `apt-get install {}`",
                packages.join(" ")
            ),
        ));
    };
    println!("Installing with apt-get: {}", packages.join(" "));
    if packages.contains(&"openssh-server") {
        println!("(openssh-server may start an SSH server on this machine; the tests start their own.)");
    }
    let fresh = lists_are_fresh(Path::new("/var/lib/apt/lists"));
    if !fresh {
        run::run(&mut apt_get(rights, &["update"]))?;
    }
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(packages);
    match run::run(&mut apt_get(rights, &words)) {
        // Lists of today may name packages that the mirror has replaced since.
        Err(_) if fresh => run::run(&mut apt_get(rights, &["update"]))
            .and_then(|()| run::run(&mut apt_get(rights, &words)))
            .map_err(|e| cannot(packages, &e.to_string())),
        done => done.map_err(|e| cannot(packages, &e.to_string())),
    }
}

/// The words that go before a command so that it runs as root; `None` where that cannot be had.
fn root_rights() -> Option<&'static [&'static str]> {
    if rustix::process::geteuid().is_root() {
        return Some(&[]);
    }
    find("sudo")?;
    if run::quiet(Command::new("sudo").args(["-n", "true"]), &[0]).is_ok() {
        return Some(&["sudo", "-n"]);
    }
    std::io::IsTerminal::is_terminal(&std::io::stdin()).then_some(&["sudo"])
}

fn apt_get(rights: &[&str], words: &[&str]) -> Command {
    let mut all = rights.to_vec();
    all.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]);
    all.extend(words);
    let mut command = Command::new(all[0]);
    command.args(&all[1..]);
    command
}

/// Whether there are package lists, fetched not long ago. A list's mtime is the mirror's, so the
/// inode change time counts, and the folder that every fetch goes through.
fn lists_are_fresh(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    let lists: Vec<SystemTime> = entries
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().contains("_Packages"))
        .filter_map(|e| {
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(e.metadata().ok()?.ctime().try_into().ok()?))
        })
        .collect();
    let fetched = std::fs::metadata(folder.join("partial")).and_then(|m| m.modified()).ok();
    let newest = lists.iter().copied().chain(fetched).max();
    // A time that lies ahead of the clock is as fresh as can be.
    !lists.is_empty() && newest.is_some_and(|t| t.elapsed().unwrap_or_default() < LISTS_GOOD_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_is_asked_for() {
        let lacking = missing_of(TESTS.iter(), |program| program != "sshd" && program != "setfattr");
        assert_eq!(lacking, ["openssh-server", "attr"]);
        assert!(missing_of(TESTS.iter(), |_| true).is_empty());
    }

    #[test]
    fn empty_package_lists_are_not_fresh() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!lists_are_fresh(folder.path()));
        std::fs::write(folder.path().join("lock"), "").unwrap();
        assert!(!lists_are_fresh(folder.path()));
        std::fs::write(folder.path().join("deb_main_binary-amd64_Packages.lz4"), "").unwrap();
        assert!(lists_are_fresh(folder.path()));
    }

    #[test]
    fn apt_get_asks_no_questions() {
        let command = apt_get(&["sudo", "-n"], &["update"]);
        assert_eq!(
            run::spelled(&command),
            "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 update"
        );
    }
}
