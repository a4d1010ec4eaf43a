//! What a mount is made with, and which of the options of `mount -o` it knows.

use std::path::PathBuf;

use fuser::{Config, MountOption, SessionACL};

use crate::error::MountError;

/// Where and how to mount.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// Made where it is absent; must be empty.
    pub directory: PathBuf,
    /// As `mount -o` takes them, one a string: `allow_other`, `suid`, `dev`, `ro` and the like.
    /// `default_permissions` always holds.
    pub options: Vec<String>,
    /// Threads that read requests of the kernel. One is enough for one busy program.
    pub threads: usize,
}

impl MountOptions {
    pub const DEFAULT_THREADS: usize = 4;

    pub fn at(directory: impl Into<PathBuf>) -> MountOptions {
        MountOptions { directory: directory.into(), options: Vec::new(), threads: Self::DEFAULT_THREADS }
    }

    /// As fuser wants them. `root`: who mounts may do what only root may.
    #[doc(hidden)]
    pub fn config(&self, root: bool) -> Result<Config, MountError> {
        let mut config = Config::default();
        config.n_threads = Some(self.threads.max(1));
        // Requests that a lost clone had read would be lost with it: one descriptor for all.
        config.clone_fd = false;
        config.mount_options = vec![
            MountOption::FSName("holdfast".into()),
            // Not `Subtype`, which fuser gives to fusermount3 only: root would get plain `fuse`.
            MountOption::CUSTOM("subtype=holdfast".into()),
            MountOption::DefaultPermissions,
        ];
        let given = self.options.iter().flat_map(|o| o.split(','));
        for option in given.map(str::trim).filter(|o| !o.is_empty()) {
            match known(option) {
                Known::AllowOther => config.acl = SessionACL::All,
                Known::Privileged(_) if !root => {
                    return Err(refuse(option, "is for root only: leave it out"));
                }
                Known::Privileged(flag) | Known::Flag(flag) => config.mount_options.push(flag),
                Known::Ignored => {}
                Known::No => return Err(refuse(option, "is not known: leave it out")),
            }
        }
        contradiction(&config.mount_options)?;
        Ok(config)
    }
}

enum Known {
    AllowOther,
    Privileged(MountOption),
    Flag(MountOption),
    /// Holds anyway, or is meant for `mount` and `fstab` and not for a file system.
    Ignored,
    No,
}

fn known(option: &str) -> Known {
    match option {
        "allow_other" => Known::AllowOther,
        "suid" => Known::Privileged(MountOption::Suid),
        "dev" => Known::Privileged(MountOption::Dev),
        "nosuid" => Known::Flag(MountOption::NoSuid),
        "nodev" => Known::Flag(MountOption::NoDev),
        "ro" => Known::Flag(MountOption::RO),
        "rw" => Known::Flag(MountOption::RW),
        "exec" => Known::Flag(MountOption::Exec),
        "noexec" => Known::Flag(MountOption::NoExec),
        "atime" => Known::Flag(MountOption::Atime),
        "noatime" => Known::Flag(MountOption::NoAtime),
        "sync" => Known::Flag(MountOption::Sync),
        "async" => Known::Flag(MountOption::Async),
        "dirsync" => Known::Flag(MountOption::DirSync),
        "default_permissions" | "defaults" | "auto" | "noauto" | "user" | "nouser" | "nofail" | "_netdev" => {
            Known::Ignored
        }
        _ if option.starts_with("x-") => Known::Ignored,
        _ => Known::No,
    }
}

/// fuser refuses these too, with its own words.
fn contradiction(options: &[MountOption]) -> Result<(), MountError> {
    use MountOption::*;
    let pairs = [
        (Suid, NoSuid, "suid"),
        (Dev, NoDev, "dev"),
        (RO, RW, "ro"),
        (Exec, NoExec, "exec"),
        (Atime, NoAtime, "atime"),
        (Sync, Async, "sync"),
    ];
    match pairs.into_iter().find(|(a, b, _)| options.contains(a) && options.contains(b)) {
        Some((_, _, name)) => Err(refuse(name, "is given together with its opposite: choose one")),
        None => Ok(()),
    }
}

fn refuse(option: &str, why: &'static str) -> MountError {
    MountError::Option { option: option.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(options: &[&str], root: bool) -> Result<Config, MountError> {
        let mut o = MountOptions::at("/m");
        o.options = options.iter().map(|s| (*s).to_string()).collect();
        o.config(root)
    }

    #[test]
    fn default_permissions_hold_whatever_is_asked() {
        for options in [&[][..], &["allow_other"], &["ro,noexec"]] {
            let config = with(options, false).unwrap();
            assert!(config.mount_options.contains(&MountOption::DefaultPermissions));
        }
    }

    #[test]
    fn only_root_gets_suid_and_dev() {
        assert!(with(&["suid", "dev"], true).is_ok());
        for option in ["suid", "dev"] {
            let error = with(&[option], false).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the mount option {option} is for root only: leave it out")
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(with(&["auto_unmount"], true).is_err());
        assert!(with(&["fsname=x"], true).is_err());
        assert!(with(&["ro,rw"], true).is_err());
        assert!(with(&["x-gvfs-hide,defaults,_netdev"], false).is_ok());
    }

    #[test]
    fn allow_other_opens_the_session_too() {
        assert_eq!(with(&["allow_other"], false).unwrap().acl, SessionACL::All);
        assert_eq!(with(&[], true).unwrap().acl, SessionACL::Owner);
    }
}
