//! Names of entries: bytes, not text, shared between the trees that hold them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One name in a folder: 1 to 255 bytes, no `/`, no NUL, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<[u8]>")]
pub struct Name(Arc<[u8]>);

/// Why bytes are no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name is empty, `.` or `..`")]
    Reserved,
    #[error("the name holds a `/` or a NUL byte")]
    Forbidden,
    #[error("the name is longer than 255 bytes")]
    TooLong,
}

/// How the names of files begin that are on a server only while something is written. The owner's
/// id and a `-` follow, then whatever makes the name unique.
pub const TEMP_PREFIX: &[u8] = b".holdfast-";

impl Name {
    pub const MAX_BYTES: usize = 255;

    pub fn new(bytes: &[u8]) -> Result<Name, NameError> {
        Self::check(bytes)?;
        Ok(Name(bytes.into()))
    }

    fn check(bytes: &[u8]) -> Result<(), NameError> {
        match bytes {
            b"" | b"." | b".." => Err(NameError::Reserved),
            _ if bytes.len() > Self::MAX_BYTES => Err(NameError::TooLong),
            _ if bytes.iter().any(|b| matches!(b, 0 | b'/')) => Err(NameError::Forbidden),
            _ => Ok(()),
        }
    }

    /// A place for a moment on a server ([`TEMP_PREFIX`]): nothing has it here.
    pub fn is_temporary(&self) -> bool {
        self.as_bytes().starts_with(TEMP_PREFIX)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name up to its last dot, and what follows the dot. `.bashrc` has no extension.
    pub fn split_extension(&self) -> (&[u8], Option<&[u8]>) {
        match self.0.iter().rposition(|&b| b == b'.') {
            Some(dot) if dot > 0 => (&self.0[..dot], Some(&self.0[dot + 1..])),
            _ => (&self.0, None),
        }
    }
}

/// What is decoded is checked like what is made.
impl TryFrom<Arc<[u8]>> for Name {
    type Error = NameError;

    fn try_from(bytes: Arc<[u8]>) -> Result<Name, NameError> {
        Self::check(&bytes)?;
        Ok(Name(bytes))
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_no_folder_can_hold() {
        assert_eq!(Name::new(b""), Err(NameError::Reserved));
        assert_eq!(Name::new(b".."), Err(NameError::Reserved));
        assert_eq!(Name::new(b"a/b"), Err(NameError::Forbidden));
        assert_eq!(Name::new(b"a\0"), Err(NameError::Forbidden));
        assert_eq!(Name::new(&[b'x'; 256]), Err(NameError::TooLong));
        assert!(Name::new(b"\xff\xfe\n-").is_ok());
    }

    #[test]
    fn decoding_refuses_them_too() {
        let decode = |bytes: &[u8]| {
            let encoded = postcard::to_allocvec(bytes).unwrap();
            postcard::from_bytes::<Name>(&encoded)
        };
        assert_eq!(decode(b"\xffa").unwrap(), Name::new(b"\xffa").unwrap());
        assert!(decode(b"a/b").is_err());
        assert!(decode(b"..").is_err());
    }

    #[test]
    fn extension_is_what_follows_the_last_dot() {
        let split = |n: &'static str| {
            let name = Name::new(n.as_bytes()).unwrap();
            let (stem, ext) = name.split_extension();
            (stem.to_vec(), ext.map(<[u8]>::to_vec))
        };
        assert_eq!(split("a.tar.gz"), (b"a.tar".to_vec(), Some(b"gz".to_vec())));
        assert_eq!(split(".bashrc"), (b".bashrc".to_vec(), None));
    }
}
