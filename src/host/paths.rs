//! The places of this user, read from the environment once.

use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use rustix::process::geteuid;

/// Where everything lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paths {
    /// Database, content, stash.
    pub store: PathBuf,
    /// Settings and rules.
    pub config: PathBuf,
    /// The private socket's folder.
    pub runtime: PathBuf,
    /// Where the mount is unless a setting says otherwise.
    pub mount: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    #[error("HOME is not set")]
    NoHome,
    #[error("{} is not a folder of this user alone", .0.display())]
    NotOurs(PathBuf),
    #[error("cannot make {}: {error}", .path.display())]
    Make { path: PathBuf, error: io::Error },
}

impl Paths {
    /// Makes nothing but a stand-in for a missing `XDG_RUNTIME_DIR`.
    pub fn from_env() -> Result<Paths, PathsError> {
        Paths::from(|name| std::env::var_os(name), runtime_without_xdg)
    }

    fn from(
        var: impl Fn(&str) -> Option<OsString>,
        runtime: impl FnOnce() -> Result<PathBuf, PathsError>,
    ) -> Result<Paths, PathsError> {
        // The specification has relative ones ignored.
        let absolute = |name| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || absolute("HOME").ok_or(PathsError::NoHome);
        let below_home = |name, rest| absolute(name).map_or_else(|| Ok(home()?.join(rest)), Ok);
        let runtime = match absolute("XDG_RUNTIME_DIR") {
            Some(path) => path,
            None => runtime()?,
        };
        Ok(Paths {
            store: below_home("XDG_DATA_HOME", ".local/share")?.join("holdfast"),
            config: below_home("XDG_CONFIG_HOME", ".config")?.join("holdfast"),
            runtime: runtime.join("holdfast"),
            mount: home()?.join("Holdfast"),
        })
    }

    /// Makes the private folder of sockets and locks.
    pub fn make_runtime(&self) -> Result<(), PathsError> {
        let path = &self.runtime;
        let make = DirBuilder::new().recursive(true).mode(0o700).create(path);
        // One of ours with other modes is taken back.
        let private = make.and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o700)));
        match private {
            Err(error) => Err(PathsError::Make { path: path.clone(), error }),
            Ok(()) if is_ours(path) => Ok(()),
            Ok(()) => Err(PathsError::NotOurs(path.clone())),
        }
    }

    /// The private socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("bus")
    }
}

/// `/run/user/UID`, or a folder for this user in the one for temporary files.
fn runtime_without_xdg() -> Result<PathBuf, PathsError> {
    let uid = geteuid().as_raw();
    let usual = PathBuf::from(format!("/run/user/{uid}"));
    if is_ours(&usual) {
        return Ok(usual);
    }
    let path = std::env::temp_dir().join(format!("holdfast-runtime-{uid}"));
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(PathsError::Make { path, error });
        }
        _ => {}
    }
    match is_ours(&path) {
        true => Ok(path),
        false => Err(PathsError::NotOurs(path)),
    }
}

/// A real folder (no link to one) of this user that nobody else can enter.
fn is_ours(path: &std::path::Path) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == geteuid().as_raw() && meta.mode() & 0o077 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(vars: &[(&str, &str)]) -> Result<Paths, PathsError> {
        Paths::from(
            |name| {
                let value = vars.iter().find(|(key, _)| *key == name)?.1;
                Some(value.into())
            },
            || Ok("/fallback".into()),
        )
    }

    #[test]
    fn xdg_goes_before_home() {
        let paths = paths(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d"), ("XDG_RUNTIME_DIR", "/r")]).unwrap();
        assert_eq!(paths.store, PathBuf::from("/d/holdfast"));
        assert_eq!(paths.config, PathBuf::from("/h/.config/holdfast"));
        assert_eq!(paths.socket(), PathBuf::from("/r/holdfast/bus"));
        assert_eq!(paths.mount, PathBuf::from("/h/Holdfast"));
    }

    #[test]
    fn the_runtime_folder_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let paths = paths(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", run.to_str().unwrap())]).unwrap();
        paths.make_runtime().unwrap();
        std::fs::set_permissions(&paths.runtime, Permissions::from_mode(0o755)).unwrap();
        paths.make_runtime().unwrap();
        assert!(is_ours(&paths.runtime));
    }

    #[test]
    fn relative_ones_do_not_count() {
        let relative = paths(&[("HOME", "/h"), ("XDG_DATA_HOME", "d"), ("XDG_RUNTIME_DIR", "")]).unwrap();
        assert_eq!(relative.store, PathBuf::from("/h/.local/share/holdfast"));
        assert_eq!(relative.runtime, PathBuf::from("/fallback/holdfast"));
        assert!(matches!(paths(&[]), Err(PathsError::NoHome)));
    }
}
