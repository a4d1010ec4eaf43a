//! Kinds of servers: what they can do, and their habits.

use std::ops::Range;
use std::time::Duration;

use holdfast_engine::model::{Confidence, Time};
use holdfast_engine::remote::Capabilities;

/// What lies between the look at the version and the swap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Compare and swap are one step of the server, or what was swapped out is looked at and put
    /// back: a race is always `Changed`.
    None,
    /// A race is found after the swap and cannot be taken back: `Displaced`.
    Keeps,
    /// A race goes unseen: what the other one wrote is lost. [`super::FakeServer::hits`] tells.
    Loses,
}

/// How a version is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A number that counts every change of content; changes of attributes too where `attributes`.
    Counter { attributes: bool },
    /// Size and mtime as the server keeps it: a change of equal size within a time step is unseen.
    SizeAndTime,
}

/// One kind of server. All fields may be changed before it is handed to a [`super::FakeServer`].
#[derive(Clone, Debug)]
pub struct Profile {
    pub capabilities: Capabilities,
    pub window: Window,
    pub mark: Mark,
    /// Bits that every file or folder is given, whatever was asked for.
    pub force_mode: Option<(u32, u32)>,
    /// Bits that the server takes away by itself.
    pub mode_mask: u32,
    /// So long after a write the server stamps the file with its own time, once.
    pub restamps_after: Option<Duration>,
    /// Characters that no name may hold, and no trailing dot or space; names must be UTF-8.
    pub strict_names: bool,
    /// Numbers of removed files are given to new ones.
    pub reuses_file_ids: bool,
    /// Edits of equal size within one time step happen and go unseen; else the server steps the
    /// time on, so that a test need not expect it.
    pub hides_quick_edits: bool,
    /// Uploads lie under a temporary name first, which a broken connection leaves behind.
    pub uploads_beside: bool,
    pub latency: Range<Duration>,
    pub bytes_per_second: u64,
    /// A call without an answer ends with `Gone` after this.
    pub deadline: Duration,
}

impl Profile {
    /// Everything a server can have.
    pub fn posix() -> Profile {
        Profile {
            capabilities: Capabilities {
                exchange: true,
                atomic_replace: true,
                file_ids: true,
                symlinks: true,
                hard_links: true,
                modes: true,
                xattrs: true,
                set_times: true,
                time_step: Duration::from_nanos(1),
                ranged_write: true,
                case_sensitive: true,
                watches: true,
                confidence: Confidence::Sure,
                caveat: String::new(),
            },
            window: Window::None,
            mark: Mark::Counter { attributes: true },
            force_mode: None,
            mode_mask: 0o7777,
            restamps_after: None,
            strict_names: false,
            reuses_file_ids: false,
            hides_quick_edits: false,
            uploads_beside: true,
            latency: Duration::from_micros(50)..Duration::from_millis(2),
            bytes_per_second: 100_000_000,
            deadline: Duration::from_secs(30),
        }
    }

    /// No exchange, times in seconds, guessed versions, no numbers of files.
    pub fn sshfs_like() -> Profile {
        let mut profile = Profile::posix();
        let can = &mut profile.capabilities;
        can.exchange = false;
        can.file_ids = false;
        can.xattrs = false;
        can.watches = false;
        can.time_step = Duration::from_secs(1);
        can.confidence = Confidence::Guessed;
        can.caveat = "a change of the same size within one second can go unseen".into();
        profile.window = Window::Loses;
        profile.mark = Mark::SizeAndTime;
        profile.latency = Duration::from_millis(1)..Duration::from_millis(40);
        profile.bytes_per_second = 10_000_000;
        profile
    }

    /// No modes, links or attributes; names that differ in case are one; times in two seconds.
    pub fn fat_like() -> Profile {
        let mut profile = Profile::posix();
        let can = &mut profile.capabilities;
        can.exchange = false;
        can.file_ids = false;
        can.symlinks = false;
        can.hard_links = false;
        can.modes = false;
        can.xattrs = false;
        can.case_sensitive = false;
        can.time_step = Duration::from_secs(2);
        can.confidence = Confidence::Guessed;
        can.caveat = "a change of the same size within two seconds can go unseen".into();
        profile.window = Window::Keeps;
        profile.mark = Mark::SizeAndTime;
        profile.force_mode = Some((0o755, 0o755));
        profile.strict_names = true;
        profile
    }

    /// Conditional writes with sure versions; times cannot be set, nor modes; uploads in one piece.
    pub fn dav_like() -> Profile {
        let mut profile = Profile::posix();
        let can = &mut profile.capabilities;
        can.exchange = false;
        can.file_ids = false;
        can.symlinks = false;
        can.hard_links = false;
        can.modes = false;
        can.xattrs = false;
        can.set_times = false;
        can.ranged_write = false;
        can.watches = false;
        can.time_step = Duration::from_secs(1);
        profile.mark = Mark::Counter { attributes: false };
        profile.force_mode = Some((0o644, 0o755));
        profile.strict_names = true;
        profile.uploads_beside = false;
        profile.latency = Duration::from_millis(5)..Duration::from_millis(120);
        profile.bytes_per_second = 5_000_000;
        profile
    }

    /// All four, by name.
    pub fn all() -> [(&'static str, Profile); 4] {
        [
            ("posix", Profile::posix()),
            ("sshfs-like", Profile::sshfs_like()),
            ("fat-like", Profile::fat_like()),
            ("dav-like", Profile::dav_like()),
        ]
    }

    /// The same server, which changes modes and times by itself.
    #[must_use]
    pub fn headstrong(mut self) -> Profile {
        self.mode_mask &= !0o022;
        self.restamps_after = Some(Duration::from_secs(3));
        self
    }

    /// As the server keeps the time.
    pub fn step(&self, time: Time) -> Time {
        let step = i64::try_from(self.capabilities.time_step.as_nanos()).unwrap_or(1).max(1);
        Time(time.0.div_euclid(step) * step)
    }

    pub(super) fn mode(&self, asked: u32, folder: bool) -> u32 {
        match self.force_mode {
            Some((file, _)) if !folder => file,
            Some((_, folder)) => folder,
            None => asked & self.mode_mask & 0o7777,
        }
    }

    /// Names that are equal here have equal keys.
    pub(super) fn key(&self, name: &[u8]) -> Vec<u8> {
        if self.capabilities.case_sensitive {
            name.to_vec()
        } else {
            String::from_utf8_lossy(name).to_lowercase().into_bytes()
        }
    }

    /// Why the server cannot hold the name.
    pub(super) fn refuses(&self, name: &[u8]) -> Option<&'static str> {
        if !self.strict_names {
            return None;
        }
        match std::str::from_utf8(name) {
            Err(_) => Some("it is not UTF-8"),
            Ok(text) if text.contains([':', '*', '?', '"', '<', '>', '|', '\\']) => {
                Some("it holds a character that cannot be there")
            }
            Ok(text) if text.ends_with(['.', ' ']) => Some("it ends with a dot or a space"),
            Ok(_) => None,
        }
    }
}
