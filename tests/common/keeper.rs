//! The process that holds a session's mount while its engine is gone.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};

use super::Session;

impl Session {
    /// The engine and the keeper of its mount: what programs have open is lost.
    pub fn kill_all(&mut self) {
        if let Some(keeper) = self.keeper() {
            kill_process(keeper, Signal::KILL).expect("it is ours");
        }
        self.kill();
    }

    /// Another engine takes over from the one that serves. Returns how that one ended.
    #[track_caller]
    pub fn replace(&mut self) -> ExitStatus {
        let mut old = self.child.take().expect("it runs");
        self.serve_with(&["--replace"]);
        old.wait().expect("it is ours")
    }

    /// `None` where there is none.
    pub fn keeper(&self) -> Option<Pid> {
        let base = self.base().as_os_str().as_bytes();
        let is_it = |line: &[u8]| {
            let holds = |part: &[u8]| line.windows(part.len()).any(|w| w == part);
            holds(b"\0mount-keeper\0") && holds(base)
        };
        let pids = fs::read_dir("/proc").ok()?.flatten();
        let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let found = pids.find(|pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|l| is_it(&l)));
        Pid::from_raw(found?)
    }
}

/// Whether the kernel sends requests again that a killed engine had taken along. Says so where not.
pub fn kernel_sends_again() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 9) {
        println!("SKIPPED: Linux {release} does not send requests again (6.9 and later do)");
    }
    version >= (6, 9)
}
