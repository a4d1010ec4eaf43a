//! A session whose server is an sshd behind a relay: it can be cut off, fall silent, freeze and die.

use holdfast_testkit::relay::Relay;
use holdfast_testkit::sshd::{HOST, Sshd};

use super::{Session, Times, skip, until};

/// Fields go in their order: first the engine.
pub struct Far {
    pub s: Session,
    pub relay: Relay,
    pub sshd: Sshd,
}

impl Far {
    pub fn new() -> Option<Far> {
        let mut s = Session::prepared()?;
        let sshd = Sshd::start().inspect_err(|why| skip(why)).ok()?;
        let relay = Relay::to(sshd.port()).expect("a relay on loopback");
        s.reached = (format!("sftp://{HOST}{}", s.there("").display()), Times::WholeSeconds);
        // The configuration's port is the server's own.
        s.serve_env.push(("HOLDFAST_SSH_COMMAND", format!("{} -p {}", sshd.ssh_command(), relay.port())));
        s.serve();
        Some(Far { s, relay, sshd })
    }

    fn link(&self) -> (String, String) {
        let status = self.s.json(&["status"]);
        let word = |key: &str| status["locations"][0][key].as_str().unwrap_or_default().to_owned();
        (word("link"), word("reason"))
    }

    pub fn is_seen_to_be_gone(&self) {
        let gone = ("offline".to_owned(), "server-gone".to_owned());
        until("it is seen that the server is gone", || self.link() == gone);
    }

    pub fn is_back(&self) {
        until("it is online again by itself", || self.link().0 != "offline");
    }

    pub fn set(&self, key: &str, value: &str) {
        self.s.ok(&["location", "set", "nas", key, value]);
    }

    pub fn present(&self) -> u64 {
        self.s.json(&["status"])["locations"][0]["present_bytes"].as_u64().unwrap_or(0)
    }

    /// Bytes that went by, both ways.
    pub fn passed(&self) -> u64 {
        let (up, down) = self.relay.bytes();
        up + down
    }

    pub fn ends_well(&self) {
        self.s.sync(0);
        self.s.must_agree();
    }
}
