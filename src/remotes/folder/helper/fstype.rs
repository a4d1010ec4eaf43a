//! What the types of file systems keep, as far as it is known.
//!
//! Only facts that cannot be probed: a fresh probe file on a network mount is answered from the
//! client's cache, so it would keep everything.

use std::time::Duration;

/// What may go into a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeps {
    /// The inode number is the file's, also after it was forgotten and looked up again.
    pub ino: bool,
    /// The change time is the server's own and cannot be set.
    pub ctime: bool,
    /// Two changes within so much may have the same times.
    pub step: Duration,
    /// The mode goes in: where there is no change time, nothing else tells that somebody set it.
    pub mode: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FsType {
    pub keeps: Keeps,
    /// Nobody changes it behind this kernel's back: no cache, inotify tells all.
    pub local: bool,
    /// What can go unseen, for the person.
    pub caveat: &'static str,
}

const NANO: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);

const ALL: Keeps = Keeps { ino: true, ctime: true, step: NANO, mode: false };
const NO_CHANGE_TIME: Keeps = Keeps { ctime: false, mode: true, ..ALL };
const CACHED: &str =
    "Changes by others are seen only when this computer's cache of the mounted folder expires.";
const NO_CTIME: &str = "A change by others that keeps size and time of a file can go unseen.";
const SECONDS: &str =
    "A change by others within the same second that keeps the size of a file can go unseen.";

const fn local(keeps: Keeps, caveat: &'static str) -> FsType {
    FsType { keeps, local: true, caveat }
}

const fn network(keeps: Keeps, caveat: &'static str) -> FsType {
    FsType { keeps, local: false, caveat }
}

/// By the name in `/proc/self/mountinfo`.
pub fn known(name: &str) -> FsType {
    match name {
        "ext4" | "xfs" | "btrfs" | "tmpfs" | "ramfs" | "overlay" | "zfs" | "f2fs" | "bcachefs" | "jfs"
        | "nilfs2" | "ntfs3" | "fuseblk" | "erofs" | "squashfs" | "ecryptfs" => local(ALL, ""),
        "ext2" | "ext3" | "reiserfs" | "hfsplus" => local(Keeps { step: SECOND, ..ALL }, SECONDS),
        // Their inode numbers are made up by the kernel and forgotten.
        "vfat" | "msdos" | "exfat" => {
            local(Keeps { ino: false, step: Duration::from_secs(2), ..NO_CHANGE_TIME }, SECONDS)
        }
        "nfs" | "nfs4" | "ceph" | "fuse.ceph" | "fuse.ceph-fuse" | "virtiofs" | "9p" | "lustre" | "gfs2"
        | "ocfs2" | "glusterfs" | "fuse.glusterfs" => network(ALL, CACHED),
        "cifs" | "smb3" | "smbfs" => network(NO_CHANGE_TIME, NO_CTIME),
        "afs" | "fuse.afs" | "fuse.afsd" => network(Keeps { step: SECOND, ..NO_CHANGE_TIME }, SECONDS),
        "fuse.sshfs" => network(Keeps { ino: false, step: SECOND, ..NO_CHANGE_TIME }, SECONDS),
        _ if name.starts_with("fuse") => network(Keeps { ino: false, ..NO_CHANGE_TIME }, NO_CTIME),
        _ => network(NO_CHANGE_TIME, NO_CTIME),
    }
}

/// By its number in `statfs(2)`, for where no mount is listed, as in a `chroot`; empty where it is none
/// of the local types that are met there.
pub fn by_number(number: u64) -> &'static str {
    match number {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlay",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_never_changed_unseen() {
        for name in ["ext4", "vfat", "nfs4", "cifs", "afs", "fuse.sshfs", "fuse.whatever", "newfs"] {
            let keeps = known(name).keeps;
            assert!(keeps.ctime || keeps.mode, "{name}");
        }
    }

    #[test]
    fn only_local_types_are_told_everything() {
        assert!(known("ext4").local && known("ext4").caveat.is_empty());
        for name in ["nfs4", "cifs", "fuse.sshfs", "fuse.whatever", "newfs"] {
            assert!(!known(name).local && !known(name).caveat.is_empty(), "{name}");
        }
        assert!(!known("fuse.sshfs").keeps.ino);
        assert!(known(by_number(0xef53)).local && !known(by_number(0x6969)).local);
        assert!(known("nfs4").keeps.ctime && !known("smb3").keeps.ctime);
    }
}
