//! By what a mounted file system is known again.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// What lies at the root of a location, as far as it tells one file system from another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// As in `/proc/self/mountinfo`: `ext4`, `nfs4`, `fuse.sshfs`.
    pub fs_type: String,
    /// What is mounted: a device, `server:/export`.
    pub source: Vec<u8>,
    /// The file system's own number, where it has one that lasts; 0 elsewhere.
    pub fsid: u64,
    /// Numbers of device and root folder. They last as long as the mount.
    pub dev: u64,
    pub ino: u64,
    /// Whether a `fsid` and a device number mean anything from one mount to the next.
    pub local: bool,
}

impl Identity {
    /// Whether it is the same file system, mounted again perhaps.
    pub fn same_place(&self, other: &Identity) -> bool {
        let numbers = if !self.local {
            // The kernel numbers network mounts anew each time.
            true
        } else if self.fsid != 0 || other.fsid != 0 {
            self.fsid == other.fsid
        } else {
            self.dev == other.dev
        };
        numbers && self.fs_type == other.fs_type && self.source_matters(other)
    }

    /// Where a local file system has its own number, the name of its device may change.
    fn source_matters(&self, other: &Identity) -> bool {
        (self.local && self.fsid != 0) || self.source == other.source
    }

    /// What lasts from one run to the next, as text without spaces.
    pub fn to_text(&self) -> String {
        let mut text = self.fs_type.clone();
        text.push('|');
        if self.local && self.fsid != 0 {
            let _ = write!(text, "{:x}", self.fsid);
            return text;
        }
        for &byte in &self.source {
            if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'|') {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02x}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nfs(dev: u64) -> Identity {
        Identity { fs_type: "nfs4".into(), source: b"nas:/a b".to_vec(), fsid: 0, dev, ino: 2, local: false }
    }

    #[test]
    fn a_network_mount_is_known_by_type_and_source() {
        assert!(nfs(1).same_place(&nfs(2)));
        assert!(!nfs(1).same_place(&Identity { source: b"nas:/b".to_vec(), ..nfs(1) }));
        assert_eq!(nfs(1).to_text(), "nfs4|nas:/a%20b");
    }

    #[test]
    fn a_local_one_is_known_by_its_number() {
        let disk = Identity { fs_type: "ext4".into(), local: true, fsid: 5, ..nfs(1) };
        assert!(disk.same_place(&Identity { source: b"/dev/sdc1".to_vec(), dev: 9, ..disk.clone() }));
        assert!(!disk.same_place(&Identity { fsid: 6, ..disk.clone() }));
        assert!(!disk.same_place(&nfs(1)));
    }
}
