//! From the PATH of an argument to a location and a path in it.
//!
//! The mount is never asked: where it is comes from the engine, the rest is text.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdfast_bus::{Commands, parse_target, target_below};
use holdfast_engine::model::Target;

use crate::exit::{Ended, Failure};

/// What a PATH names. `NAME:path` goes before a file of that name; `./NAME:path` means the file.
pub async fn target(engine: &dyn Commands, path: &OsStr) -> Ended<Target> {
    optional_target(engine, Some(path))
        .await?
        .ok_or_else(|| Failure::wrong_use(format!("{} is above all locations", path.display())))
}

/// As [`target`]; no path, or the mount itself, is everything.
pub async fn optional_target(engine: &dyn Commands, path: Option<&OsStr>) -> Ended<Option<Target>> {
    let Some(path) = path else { return Ok(None) };
    match parse_target(path.as_bytes()) {
        Some(Ok(target)) => return Ok(Some(target)),
        Some(Err(error)) => return Err(Failure::wrong_use(format!("{}: {error}", path.display()))),
        None => {}
    }
    let mount = engine.status().await?.mount;
    let below = below_mount(&mount, &std::env::current_dir()?, path)?;
    match below.is_empty() {
        true => Ok(None),
        false => Ok(Some(engine.target_in_mount(&below).await?)),
    }
}

fn below_mount(mount: &[u8], here: &Path, path: &OsStr) -> Ended<Vec<u8>> {
    if path.is_empty() {
        return Err(Failure::wrong_use("the path is empty"));
    }
    let mount_path = (!mount.is_empty()).then(|| Path::new(OsStr::from_bytes(mount)));
    let full = holdfast_host::follow(&here.join(path), mount_path);
    match target_below(mount, full.as_os_str().as_bytes()) {
        Some(below) => Ok(below.to_vec()),
        None => {
            Err(Failure::wrong_use(format!("{} is neither NAME:path nor inside the mount", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn below(here: &str, path: &[u8]) -> Ended<Vec<u8>> {
        below_mount(b"/nowhere/Holdfast", Path::new(here), OsStr::from_bytes(path))
    }

    #[test]
    fn paths_are_resolved_as_text() {
        let inside = "/nowhere/Holdfast/nas/papers";
        assert_eq!(below(inside, b"a\xff.txt").unwrap(), b"nas/papers/a\xff.txt");
        assert_eq!(below(inside, b"../b/./c/").unwrap(), b"nas/b/c");
        assert_eq!(below(inside, b"./x:y").unwrap(), b"nas/papers/x:y");
        assert_eq!(below(inside, b"-dash").unwrap(), b"nas/papers/-dash");
        assert_eq!(below(inside, b"../..").unwrap(), b"");
        assert_eq!(below("/", b"/nowhere/Holdfast/nas").unwrap(), b"nas");
    }

    #[test]
    fn what_lies_outside_is_wrong_use() {
        for path in [&b"/nowhere/Holdfaster/nas"[..], b"x", b"", b"/nowhere/Holdfast/../y"] {
            assert_eq!(below("/nowhere", path).unwrap_err().exit, Exit::WrongUse);
        }
        let no_mount = below_mount(b"", Path::new("/"), OsStr::new("x"));
        assert_eq!(no_mount.unwrap_err().exit, Exit::WrongUse);
    }
}
