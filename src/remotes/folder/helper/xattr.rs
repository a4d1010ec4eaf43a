//! Extended attributes: those that begin with `user.`, all others are not ours to see.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use holdfast_engine::model::Xattrs;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// The kernel's own limit for the list of names and for one value.
const LIMIT_BYTES: usize = 64 << 10;
/// For all values of one file: what a server sends is bounded.
const ALL_BYTES: usize = 1 << 20;
const PREFIX: &[u8] = b"user.";

/// The path of a name in an open folder, for calls that take no descriptor. The last name is not
/// followed by the calls made on it here.
pub fn path_in(folder: &OwnedFd, name: &CStr) -> CString {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    CString::new(path).expect("made of a CStr")
}

/// Calls with a small buffer first, then with the largest there can be.
fn grow(call: impl Fn(&mut Vec<u8>) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 512];
    let filled = match call(&mut buffer) {
        Err(Errno::RANGE) => {
            buffer.resize(LIMIT_BYTES, 0);
            call(&mut buffer)?
        }
        other => other?,
    };
    buffer.truncate(filled);
    Ok(buffer)
}

/// Reads all of a file's; `follow` for paths in `/proc/self/fd` that name the file itself.
pub fn read(path: &CStr, follow: bool) -> Result<Option<Xattrs>, Errno> {
    let names = grow(|buffer| {
        if follow {
            rustix::fs::listxattr(path, &mut buffer[..])
        } else {
            rustix::fs::llistxattr(path, &mut buffer[..])
        }
    })?;
    let mut found = Vec::new();
    let mut total = 0;
    for name in names.split_inclusive(|&b| b == 0).filter(|n| n.starts_with(PREFIX)) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        let value = grow(|buffer| {
            if follow {
                rustix::fs::getxattr(path, name, &mut buffer[..])
            } else {
                rustix::fs::lgetxattr(path, name, &mut buffer[..])
            }
        });
        match value {
            Ok(value) => {
                total += name.to_bytes().len() + value.len();
                if total > ALL_BYTES {
                    return Ok(None);
                }
                found.push((name.to_bytes().to_vec(), value));
            }
            // Gone in between.
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    found.sort();
    Ok(Some(Arc::new(found)))
}

/// Makes a file's attributes the given ones. `path` names the file through `/proc/self/fd`.
pub fn write(path: &CStr, wanted: &Xattrs) -> Result<(), Errno> {
    let present = read(path, true)?.unwrap_or_default();
    for (name, _) in present.iter().filter(|(name, _)| !wanted.iter().any(|(n, _)| n == name)) {
        rustix::fs::removexattr(path, name.as_slice())?;
    }
    for (name, value) in wanted.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        if !present.iter().any(|(n, v)| (n, v) == (name, value)) {
            rustix::fs::setxattr(path, name.as_slice(), value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// Gives a new file the access list of the one it replaces, as far as that can be done.
pub fn copy_access_list(from: &CStr, to: &CStr) {
    const ACL: &CStr = c"system.posix_acl_access";
    if let Ok(list) = grow(|buffer| rustix::fs::lgetxattr(from, ACL, &mut buffer[..])) {
        let _ = rustix::fs::setxattr(to, ACL, &list, XattrFlags::empty());
    }
}
