//! Folders that must not lie in each other: a location, the mount, the store.
//!
//! A location in the mount would feed on itself, a mount or store in a location would be sent to
//! the server.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::places::follow;

/// Our own folders, absolute and without symbolic links above them.
#[derive(Clone, Debug)]
pub struct Places {
    pub mount: Option<PathBuf>,
    pub store: PathBuf,
}

impl Places {
    /// Why a URL cannot be a location, in one sentence; `None` for what lies on other machines too.
    pub fn clash(&self, url: &str) -> Option<String> {
        let folder = follow(&local_folder(url)?, self.mount.as_deref());
        let own = [(self.mount.as_deref(), "mount"), (Some(&*self.store), "store")];
        own.into_iter().find_map(|(own, word)| {
            let own = own?;
            if folder.starts_with(own) {
                Some(format!("{} lies in the {word} {}", folder.display(), own.display()))
            } else if own.starts_with(&folder) {
                Some(format!("the {word} {} lies in {}", own.display(), folder.display()))
            } else {
                None
            }
        })
    }
}

/// The folder of a `file://` URL on this machine.
fn local_folder(url: &str) -> Option<PathBuf> {
    let rest = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("file://")).map(|_| &url[7..])?;
    let path = &rest[rest.find('/')?..];
    Some(Path::new(&OsString::from_vec(percent_decoded(path))).to_owned())
}

/// `%` and two hexadecimal digits as one byte; anything else as it stands.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_lies_in_the_other() {
        let places = Places {
            mount: Some("/home/nobody-here/Hold fast".into()),
            store: "/home/nobody-here/.store".into(),
        };
        let clashes = |url: &str| places.clash(url).is_some();
        assert!(clashes("file:///home/nobody-here/Hold%20fast/nas"));
        assert!(clashes("file:///home/nobody-here"));
        assert!(clashes("FILE://localhost/home/nobody-here/x/../.store"));
        assert!(clashes("file:///"));
        assert!(!clashes("file:///home/nobody-here/Hold"));
        assert!(!clashes("sftp://host/home/nobody-here"));
        assert!(!clashes("file"));
    }

    #[test]
    fn a_broken_escape_stands_for_itself() {
        assert_eq!(percent_decoded("/a%2Fb%zz%f"), b"/a/b%zz%f");
        assert_eq!(percent_decoded("/%ff"), b"/\xff");
    }
}
