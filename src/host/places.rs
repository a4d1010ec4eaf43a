//! Where a path leads, without ever touching what lies in the mount.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// An absolute path with `..` and symbolic links resolved, link by link from the root. From the
/// mount on down it is only looked at as text: neither the mount nor anything in it is asked, so
/// this cannot hang on it. What does not exist is taken as written.
pub fn follow(path: &Path, mount: Option<&Path>) -> PathBuf {
    let mut reached = PathBuf::from("/");
    let mut ahead = parts(path);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            reached.pop();
            continue;
        }
        reached.push(&part);
        if mount.is_some_and(|mount| reached.starts_with(mount)) || links == MOST_LINKS {
            continue;
        }
        if let Ok(target) = std::fs::read_link(&reached) {
            links += 1;
            reached.pop();
            if target.is_absolute() {
                reached = PathBuf::from("/");
            }
            ahead.extend(parts(&target));
        }
    }
    reached
}

/// The parts of a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_up_to_the_mount() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/mount/in")).unwrap();
        symlink("real", base.join("link")).unwrap();
        symlink(base.join("link/mount/in"), base.join("short")).unwrap();
        // In the mount, links are left alone.
        symlink("/", base.join("real/mount/out")).unwrap();
        let mount = base.join("real/mount");
        let follow = |path: &str| follow(&base.join(path), Some(&mount));
        assert_eq!(follow("link/mount/a"), mount.join("a"));
        assert_eq!(follow("short/../b"), mount.join("b"));
        assert_eq!(follow("real/mount/out/x"), mount.join("out/x"));
        assert_eq!(follow("link/mount/../absent"), base.join("real/absent"));
        assert_eq!(super::follow(Path::new("/../x"), None), Path::new("/x"));
    }

    #[test]
    fn a_circle_of_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        follow(&dir.path().join("a/x"), None);
    }
}
