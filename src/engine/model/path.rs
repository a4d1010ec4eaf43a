//! Paths inside a location, and what a command may name.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Name, NameError};

/// A path inside a location: names joined by `/`, empty for the root. Bytes, not text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LocPath(Vec<u8>);

/// Why bytes are no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("a part of the path cannot be used: {0}")]
    Name(#[from] NameError),
}

impl LocPath {
    pub const fn root() -> LocPath {
        LocPath(Vec::new())
    }

    /// Parses `a/b/c`; a leading or trailing `/` and doubled ones are forgiven, `.` and `..` are not.
    pub fn parse(bytes: &[u8]) -> Result<LocPath, PathError> {
        let mut path = LocPath::root();
        for part in bytes.split(|&b| b == b'/').filter(|p| !p.is_empty()) {
            path.push(&Name::new(part)?);
        }
        Ok(path)
    }

    pub fn push(&mut self, name: &Name) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name.as_bytes());
    }

    #[must_use]
    pub fn join(&self, name: &Name) -> LocPath {
        let mut path = self.clone();
        path.push(name);
        path
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The names from the root down.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = Name> + '_ {
        self.0
            .split(|&b| b == b'/')
            .filter(|p| !p.is_empty())
            .map(|p| Name::new(p).expect("a LocPath is made of valid names only"))
    }

    /// The folder that holds it, and its name there; `None` for the root.
    pub fn split_last(&self) -> Option<(LocPath, Name)> {
        let name = self.names().next_back()?;
        let end = self.0.len() - name.as_bytes().len();
        Some((LocPath(self.0[..end.saturating_sub(1)].to_vec()), name))
    }

    pub fn starts_with(&self, folder: &LocPath) -> bool {
        folder.is_root()
            || (self.0.starts_with(&folder.0) && matches!(self.0.get(folder.0.len()), None | Some(b'/')))
    }
}

impl fmt::Debug for LocPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for LocPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// What a command names: a location and a path in it (`NAME:path`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Target {
    pub location: String,
    pub path: LocPath,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.location, self.path)
    }
}

impl Target {
    /// `NAME:path` as bytes, for paths that are not text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.location.as_bytes().to_vec();
        bytes.push(b':');
        bytes.extend_from_slice(self.path.as_bytes());
        bytes
    }
}

/// Whether `name` may name a location: letters, digits, `-`, `_`, `.`, not first a dash or dot.
pub fn is_location_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && !name.starts_with(['-', '.'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> LocPath {
        LocPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn parses_and_splits() {
        assert_eq!(path("/a//b/").as_bytes(), b"a/b");
        assert_eq!(path("a/b").split_last(), Some((path("a"), Name::new(b"b").unwrap())));
        assert_eq!(path("a").split_last(), Some((path(""), Name::new(b"a").unwrap())));
        assert_eq!(path("").split_last(), None);
        assert!(LocPath::parse(b"a/../b").is_err());
    }

    #[test]
    fn a_folder_starts_only_what_lies_in_it() {
        assert!(path("a/b").starts_with(&path("a")));
        assert!(path("a").starts_with(&path("a")));
        assert!(!path("ab").starts_with(&path("a")));
        assert!(path("x").starts_with(&LocPath::root()));
    }

    #[test]
    fn location_names() {
        assert!(is_location_name("nas-2.home_x"));
        assert!(!is_location_name("-x"));
        assert!(!is_location_name(".x"));
        assert!(!is_location_name("a/b"));
        assert!(!is_location_name(""));
    }
}
