//! What a server answers.

use std::sync::Arc;

use super::wire::Reader;
use super::{Attrs, Malformed};

const VERSION: u8 = 2;
/// A name in a listing takes so many bytes at least: two lengths and the flags of its attributes.
const LEAST_ENTRY_BYTES: usize = 12;
const MESSAGE_BYTES: usize = 200;

/// What names an open file or folder. Its bytes mean nothing to us.
pub type Handle = Arc<[u8]>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Response {
    Status(Status),
    Handle(Handle),
    Data(Data),
    Names(Vec<Entry>),
    Attrs(Attrs),
    /// Of an extension, in its own form.
    Extended(Vec<u8>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub code: Code,
    /// The server's own words, cut and without control characters.
    pub message: String,
}

/// Those of version 3, and later ones that some servers send all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    Ok,
    Eof,
    NoSuchFile,
    PermissionDenied,
    Failure,
    BadMessage,
    NoConnection,
    Unsupported,
    Exists,
    ReadOnly,
    NoSpace,
    NotEmpty,
    BadName,
    Other(u32),
}

/// Bytes of a file, still in the message that they came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data {
    message: Vec<u8>,
    start: usize,
}

impl Data {
    pub fn bytes(&self) -> &[u8] {
        self.message.get(self.start..).unwrap_or_default()
    }

    pub fn into_bytes(mut self) -> Vec<u8> {
        self.message.drain(..self.start.min(self.message.len()));
        self.message
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// As it came: it may hold anything.
    pub name: Vec<u8>,
    pub attrs: Attrs,
}

/// Which extensions a server offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    pub posix_rename: bool,
    pub hardlink: bool,
    pub fsync: bool,
    pub limits: bool,
    pub lsetstat: bool,
    pub statvfs: bool,
    pub copy_data: bool,
}

/// The answer to [`Request::Limits`](super::Request::Limits); 0 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub message_bytes: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub handles: u64,
}

/// The answer to [`Request::Statvfs`](super::Request::Statvfs), as far as it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// What an ordinary user may still write.
    pub free_bytes: u64,
    pub free_files: u64,
    pub read_only: bool,
    /// The file system's own number.
    pub id: u64,
}

/// The first message of a server, without its length.
pub fn decode_version(message: &[u8]) -> Result<(u32, Extensions), Malformed> {
    let mut from = Reader::new(message);
    match from.u8()? {
        VERSION => {}
        other => return Err(Malformed::Kind(other)),
    }
    let version = from.u32()?;
    let mut found = Extensions::default();
    while !from.is_empty() {
        let (name, data) = (from.string()?, from.string()?);
        match (name, data) {
            (b"posix-rename@openssh.com", b"1") => found.posix_rename = true,
            (b"hardlink@openssh.com", b"1") => found.hardlink = true,
            (b"fsync@openssh.com", b"1") => found.fsync = true,
            (b"limits@openssh.com", b"1") => found.limits = true,
            (b"lsetstat@openssh.com", b"1") => found.lsetstat = true,
            (b"statvfs@openssh.com", b"2") => found.statvfs = true,
            (b"copy-data", b"1") => found.copy_data = true,
            _ => {}
        }
    }
    Ok((version, found))
}

/// The number of the request that is answered, and the answer. `message` is without its length.
pub fn decode(message: Vec<u8>) -> Result<(u32, Response), Malformed> {
    let mut from = Reader::new(&message);
    let kind = from.u8()?;
    let id = from.u32()?;
    let response = match kind {
        101 => Response::Status(status(&mut from)?),
        102 => Response::Handle(from.string()?.into()),
        103 => {
            let bytes = from.string()?;
            if !from.is_empty() {
                return Err(Malformed::Long);
            }
            let start = message.len() - bytes.len();
            return Ok((id, Response::Data(Data { message, start })));
        }
        104 => Response::Names(names(&mut from)?),
        105 => Response::Attrs(Attrs::read(&mut from)?),
        201 => return Ok((id, Response::Extended(message[message.len() - from.left()..].to_vec()))),
        other => return Err(Malformed::Kind(other)),
    };
    Ok((id, response))
}

fn status(from: &mut Reader<'_>) -> Result<Status, Malformed> {
    let code = Code::from(from.u32()?);
    // Some old servers leave the words out.
    let words = if from.is_empty() { &[][..] } else { from.string()? };
    let words = String::from_utf8_lossy(&words[..words.len().min(MESSAGE_BYTES)]);
    Ok(Status { code, message: words.chars().filter(|c| !c.is_control()).collect() })
}

fn names(from: &mut Reader<'_>) -> Result<Vec<Entry>, Malformed> {
    let count = from.u32()? as usize;
    let mut entries = Vec::with_capacity(count.min(from.left() / LEAST_ENTRY_BYTES));
    for _ in 0..count {
        let name = from.string()?.to_vec();
        // As `ls -l` would show it: for people, and in no fixed form.
        from.string()?;
        entries.push(Entry { name, attrs: Attrs::read(from)? });
    }
    Ok(entries)
}

impl From<u32> for Code {
    fn from(code: u32) -> Code {
        match code {
            0 => Code::Ok,
            1 => Code::Eof,
            2 | 10 => Code::NoSuchFile,
            3 => Code::PermissionDenied,
            4 => Code::Failure,
            5 => Code::BadMessage,
            6 | 7 => Code::NoConnection,
            8 => Code::Unsupported,
            11 => Code::Exists,
            12 => Code::ReadOnly,
            14 | 15 => Code::NoSpace,
            18 => Code::NotEmpty,
            19 => Code::NoSuchFile,
            20 => Code::BadName,
            other => Code::Other(other),
        }
    }
}

impl Limits {
    pub fn parse(reply: &[u8]) -> Result<Limits, Malformed> {
        let mut from = Reader::new(reply);
        Ok(Limits {
            message_bytes: from.u64()?,
            read_bytes: from.u64()?,
            write_bytes: from.u64()?,
            handles: from.u64()?,
        })
    }
}

impl Space {
    pub fn parse(reply: &[u8]) -> Result<Space, Malformed> {
        const READ_ONLY: u64 = 1;
        let mut from = Reader::new(reply);
        let [_, fragment, _, _, available, _, _, files, id, flags, _] = [(); 11].map(|()| from.u64());
        Ok(Space {
            free_bytes: available?.saturating_mul(fragment?),
            free_files: files?,
            read_only: flags? & READ_ONLY != 0,
            id: id?,
        })
    }
}
