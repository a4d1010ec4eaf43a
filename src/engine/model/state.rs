//! What one of the three states of an item says: place, kind, attributes, content.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::{ContentId, ItemId, Name, Time};

/// What kind of thing an item or node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    File,
    Folder,
    Symlink,
    /// Fifo, socket or device node; `S_IFMT` bits of the mode. These live only here.
    Special(u32),
}

impl Kind {
    /// The `S_IFMT` bits.
    pub fn mode_bits(self) -> u32 {
        match self {
            Kind::File => 0o100_000,
            Kind::Folder => 0o040_000,
            Kind::Symlink => 0o120_000,
            Kind::Special(bits) => bits,
        }
    }

    pub fn from_mode(mode: u32) -> Kind {
        match mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Folder,
            0o120_000 => Kind::Symlink,
            bits => Kind::Special(bits),
        }
    }
}

/// The server's own mark for a state: opaque, compared only for equality.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version(pub Arc<[u8]>);

impl Version {
    pub fn new(bytes: &[u8]) -> Version {
        Version(bytes.into())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl Version {
    /// Printable text, one for each version: as it is where it is plain ASCII, else in hexadecimal.
    pub fn to_text(&self) -> String {
        if !self.0.is_empty() && self.0.iter().all(|b| b.is_ascii_graphic()) {
            String::from_utf8_lossy(&self.0).into_owned()
        } else {
            use std::fmt::Write;
            self.0.iter().fold(String::from("hex:"), |mut text, b| {
                let _ = write!(text, "{b:02x}");
                text
            })
        }
    }
}

/// How far an unchanged version means an unchanged file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    Sure,
    Guessed,
}

/// BLAKE3 of a whole content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// `blake3:` and 64 hexadecimal digits.
    pub fn to_text(&self) -> String {
        format!("blake3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text()[..15])
    }
}

/// Extended attributes, sorted by name. Only `user.` names are kept.
pub type Xattrs = Arc<Vec<(Vec<u8>, Vec<u8>)>>;

/// The empty list: one for all.
pub fn no_xattrs() -> Xattrs {
    static NONE: LazyLock<Xattrs> = LazyLock::new(Xattrs::default);
    NONE.clone()
}

/// What is known of a file, folder or link without its content or place, as a server tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Meta {
    pub kind: Kind,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Bytes; the length of the target for a symbolic link; 0 for a folder.
    pub size: u64,
    pub mtime: Time,
    /// Where a symbolic link leads.
    pub link_target: Option<Arc<[u8]>>,
    /// `None` where the location does not keep them, or they have not been read.
    pub xattrs: Option<Xattrs>,
    pub version: Version,
    /// The same for the same file under any name, where the location has such a number.
    pub file_id: Option<u64>,
}

/// One of the three states of an item.
///
/// `base` and `server` are made of these; the local state is read off the node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The folder it lies in; `None` for a location's root.
    pub parent: Option<ItemId>,
    pub name: Name,
    pub meta: Meta,
    /// The bytes, as far as they are here. Files only.
    pub content: Option<ContentId>,
}
