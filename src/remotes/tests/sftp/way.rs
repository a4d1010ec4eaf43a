//! No network, no route, nobody there: each is told apart. In networks of the tests' own.

use std::path::Path;

use holdfast_engine::model::OfflineReason;
use holdfast_engine::remote::{Remote, RemoteError};
use holdfast_remotes::sftp::{SftpOptions, SftpRemote};
use holdfast_testkit::netns::{in_own_network, ip};

use crate::support::{OWNER, skipped};

/// Hosts as a person has them: by another name, at another port, over others.
const CONFIG: &str = "Host nas\n HostName 10.99.0.9\n Port 2222\n\
                      Host near\n HostName 127.0.0.1\n Port 2\n\
                      Host behind-nas\n HostName 127.0.0.1\n ProxyJump nas\n\
                      Host behind-near\n HostName 10.99.0.9\n ProxyJump near\n\
                      Host hidden\n HostName 10.99.0.9\n ProxyCommand false\n";

struct Hosts {
    dir: tempfile::TempDir,
}

impl Hosts {
    /// `None` where this is not the network of its own, or `ssh` is missing.
    fn in_own_network(test: &str) -> Option<Hosts> {
        if !Path::new("/usr/bin/ssh").exists() {
            skipped("ssh is missing");
            return None;
        }
        if !in_own_network(&format!("sftp::way::{test}")) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config"), CONFIG).unwrap();
        Some(Hosts { dir })
    }

    fn reason(&self, host: &str) -> (OfflineReason, String) {
        let command = format!("ssh -F {}", self.dir.path().join("config").display());
        let options = SftpOptions::with_command(&command).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let remote = SftpRemote::new(&format!("sftp://{host}/"), OWNER, options).unwrap();
        match runtime.block_on(remote.connect()) {
            Err(RemoteError::Gone { reason, message }) => (reason, message),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn must_be(&self, host: &str, reason: OfflineReason, words: &str) {
        let (found, message) = self.reason(host);
        assert!(found == reason && message.contains(words), "{host}: {found:?}, {message}");
    }
}

#[test]
fn without_a_network_nothing_has_a_way() {
    let Some(hosts) = Hosts::in_own_network("without_a_network_nothing_has_a_way") else { return };
    ip("link set lo up");
    for host in ["10.99.0.9", "nas", "behind-nas", "[fd00:99::9]"] {
        hosts.must_be(host, OfflineReason::NoNetwork, "no way through the network");
    }
    hosts.must_be("nowhere.invalid", OfflineReason::NoNetwork, "there is no network");
    // What is on this computer can be reached without any.
    for host in ["near", "behind-near"] {
        hosts.must_be(host, OfflineReason::ServerGone, "");
    }
    assert_eq!(hosts.reason("hidden").0, OfflineReason::ServerGone, "nothing is known of its way");
}

#[test]
fn in_a_network_a_server_that_is_not_there_is_gone() {
    let Some(hosts) = Hosts::in_own_network("in_a_network_a_server_that_is_not_there_is_gone") else {
        return;
    };
    for words in [
        "link set lo up",
        "link add v0 type veth peer name v1",
        "addr add 10.99.0.1/24 dev v0",
        "link set v0 up",
        "link set v1 up",
        "route add unreachable 10.97.0.0/16",
    ] {
        ip(words);
    }
    // Nobody answers for the address, and there is a route all the same.
    hosts.must_be("nas", OfflineReason::ServerGone, "nobody is at its address");
    hosts.must_be("nowhere.invalid", OfflineReason::ServerGone, "misspelt");
    for host in ["10.98.0.1", "10.97.0.1"] {
        hosts.must_be(host, OfflineReason::NoNetwork, "no way through the network");
    }
    ip("link set v0 down");
    hosts.must_be("nas", OfflineReason::NoNetwork, "no way through the network");
    hosts.must_be("nowhere.invalid", OfflineReason::NoNetwork, "there is no network");
}
