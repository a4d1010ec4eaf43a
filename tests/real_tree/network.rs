//! The server behind a network: sshd on loopback, frozen, killed and brought back; reached by a real
//! network mount, or by our own SFTP.

use std::fs;
use std::path::PathBuf;

use holdfast_testkit::sshd::{HOST, Sshd, Sshfs};
use rustix::io::Errno;

use crate::common::{Session, Times, skip, tree, until};

/// Fields go in their order: first the mount.
pub struct Network {
    sshfs: Option<Sshfs>,
    sshd: Sshd,
}

impl Network {
    /// An engine, and the folder that plays the server, to be reached by sshfs alone. What the tests
    /// do there directly is what somebody else does on the server.
    pub fn sshfs() -> Option<(Session, Network)> {
        let mut s = Session::empty()?;
        let at = s.base().join("net");
        fs::create_dir(&at).expect("a folder");
        let network = Sshd::start().and_then(|sshd| {
            let sshfs = Some(Sshfs::mount(&sshd, &s.there(""), &at)?);
            Ok(Network { sshfs, sshd })
        });
        s.reached = (format!("file://{}", at.display()), Times::WholeSeconds);
        network.inspect_err(|why| skip(why)).ok().map(|network| (s, network))
    }

    /// As [`sshfs`](Network::sshfs), to be reached by SFTP.
    pub fn sftp() -> Option<(Session, Network)> {
        let mut s = Session::prepared()?;
        let sshd = Sshd::start().inspect_err(|why| skip(why)).ok()?;
        s.reached = (format!("sftp://{HOST}{}", s.there("").display()), Times::WholeSeconds);
        s.serve_env.push(("HOLDFAST_SSH_COMMAND", sshd.ssh_command()));
        s.serve();
        Some((s, Network { sshfs: None, sshd }))
    }

    /// Pins all, through a server that freezes and dies.
    pub fn pin(&mut self, s: &Session) {
        let files = files(s);
        s.ok(&["location", "add", "nas", &s.url()]);
        s.ok(&["pin", "nas:"]);
        let present = || s.json(&["pins"])[0]["present_files"].as_u64().unwrap_or(0);
        until("some of it is here", || present() > 20);
        let mut here = Vec::new();
        until("some are seen to be here", || {
            here = files.iter().filter(|path| is_present(s, path)).take(20).collect();
            !here.is_empty()
        });
        self.sshd.freeze();
        self.all_that_is_here_is_read(s, &here);
        self.is_seen_to_be_gone(s);
        self.all_that_is_here_is_read(s, &here);
        // What is not here is a miss, and nobody hangs.
        if let Some(miss) = files.iter().find_map(|path| fs::read(s.here(path)).err()) {
            let errno = Errno::from_io_error(&miss);
            assert!(matches!(errno, Some(Errno::NETUNREACH | Errno::TIMEDOUT)), "{miss:?}");
        }
        self.is_frozen();
        self.sshd.thaw();
        let before = present();
        s.ok(&["sync", "nas"]);
        until("it goes on", || present() > before || present() as usize == files.len());

        self.dies_and_comes_back(s);
        s.ok(&["pin", "nas:", "--wait"]);
        s.sync(0);
    }

    /// Sends some of what waits, through a server that freezes and dies; the rest still waits.
    pub fn replay(&mut self, s: &Session) {
        let waiting = || s.json(&["changes"]).as_array().map_or(0, Vec::len);
        let all = waiting();
        s.ok(&["online", "nas"]);
        until("some of it is sent", || waiting() < all);
        self.sshd.freeze();
        let files: Vec<PathBuf> =
            tree(&s.here("")).into_keys().filter(|p| s.here("").join(p).is_file()).collect();
        println!(
            "{} files read, {} of {all} changes wait while the server is frozen",
            files.len(),
            waiting()
        );
        self.is_frozen();
        s.write_here("src/written-while-it-is-frozen", "frozen\n");
        s.shell("mv src/written-while-it-is-frozen src/moved-while-it-is-frozen").done();
        self.is_seen_to_be_gone(s);
        let before = waiting();
        self.sshd.thaw();
        s.ok(&["sync", "nas"]);
        until("it goes on", || waiting() < before);

        self.dies_and_comes_back(s);
    }

    fn dies_and_comes_back(&mut self, s: &Session) {
        self.sshd.kill();
        let files = || s.json(&["pins"])[0]["files"].as_u64();
        let before = files();
        s.ctl(&["sync", "nas"]);
        self.is_seen_to_be_gone(s);
        // An empty folder where the share was mounted is no deletion.
        assert_eq!(files(), before);
        assert_eq!(s.json(&["problems"]).as_array().map(Vec::len), Some(0));
        self.sshd.listen().expect("the server comes back");
        if let Some(sshfs) = &mut self.sshfs {
            sshfs.again().expect("it can be mounted again");
        }
    }

    /// Whoever waited for the server would wait until it goes on, which it has not.
    fn all_that_is_here_is_read(&self, s: &Session, here: &[&String]) {
        for path in here {
            assert_eq!(fs::read(s.here(path)).ok(), fs::read(s.there(path)).ok(), "{path}");
        }
        self.is_frozen();
    }

    fn is_seen_to_be_gone(&self, s: &Session) {
        until("the server is seen to be gone", || {
            let status = s.json(&["status"]);
            let nas = &status["locations"][0];
            nas["link"] == "offline" && nas["reason"] == "server-gone"
        });
        s.ctl(&["sync", "nas", "--wait", "--timeout", "1"]).code(1);
    }

    fn is_frozen(&self) {
        assert!(self.sshd.is_frozen(), "the server was to be frozen all the while");
    }
}

/// All that is on the server, relative to the location.
fn files(s: &Session) -> Vec<String> {
    let paths = tree(&s.there("")).into_keys();
    let paths = paths.filter_map(|path| path.to_str().map(str::to_owned));
    paths.filter(|path| s.there(path).is_file()).collect()
}

fn is_present(s: &Session, path: &str) -> bool {
    let mut word = [0; 16];
    rustix::fs::getxattr(s.here(path), "user.holdfast.presence", &mut word[..])
        .is_ok_and(|length| word[..length] == *b"present")
}
