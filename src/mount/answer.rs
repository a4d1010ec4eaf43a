//! How the result of an operation becomes the reply to the kernel.

use std::time::Duration;

use fuser::*;
use holdfast_engine::fileops::{Attr, Opened, Statfs, is_lasting};

use crate::buffer::Buffer;
use crate::convert::{absent_attr, file_attr};

/// How long the kernel may remember names and attributes. What changes without its doing is
/// invalidated exactly, so this only bounds its memory.
pub(crate) const REMEMBER: Duration = Duration::from_secs(24 * 60 * 60);

/// The views of the three states change without a word to the kernel: nothing of them is kept.
pub(crate) fn life(attr: &Attr) -> Duration {
    if is_lasting(attr.node) { REMEMBER } else { Duration::ZERO }
}

/// Node numbers are never used again: one generation.
pub(crate) const GENERATION: Generation = Generation(0);

pub(crate) type Outcome<T> = Result<T, Errno>;

pub(crate) fn entry(reply: ReplyEntry, outcome: Outcome<Attr>) {
    match outcome {
        Ok(attr) => reply.entry(&life(&attr), &file_attr(&attr), GENERATION),
        Err(errno) => reply.error(errno),
    }
}

/// `None`: nothing is there, and that may be remembered.
pub(crate) fn entry_or_absence(reply: ReplyEntry, outcome: Outcome<Option<Attr>>) {
    match outcome {
        Ok(Some(attr)) => reply.entry(&life(&attr), &file_attr(&attr), GENERATION),
        Ok(None) => reply.entry(&REMEMBER, &absent_attr(), GENERATION),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn attr(reply: ReplyAttr, outcome: Outcome<Attr>) {
    match outcome {
        Ok(attr) => reply.attr(&life(&attr), &file_attr(&attr)),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn empty(reply: ReplyEmpty, outcome: Outcome<()>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn bytes(reply: ReplyData, outcome: Outcome<Vec<u8>>) {
    match outcome {
        Ok(bytes) => reply.data(&bytes),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn buffer(reply: ReplyData, outcome: Outcome<Buffer>) {
    match outcome {
        Ok(buffer) => reply.data(buffer.as_slice()),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn opened(reply: ReplyOpen, outcome: Outcome<Opened>) {
    match outcome {
        Ok(opened) => reply.opened(FileHandle(opened.handle.0), open_flags(&opened)),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn created(reply: ReplyCreate, outcome: Outcome<(Attr, Opened)>) {
    match outcome {
        Ok((attr, opened)) => reply.created(
            &REMEMBER,
            &file_attr(&attr),
            GENERATION,
            FileHandle(opened.handle.0),
            open_flags(&opened),
        ),
        Err(errno) => reply.error(errno),
    }
}

/// Closing asks nothing: each write has reached the engine already. A close that asked would wait where
/// the engine is gone, and with it whoever is about to start the next one.
fn open_flags(opened: &Opened) -> FopenFlags {
    match opened.keep_cache {
        true => FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_KEEP_CACHE,
        false => FopenFlags::FOPEN_NOFLUSH,
    }
}

/// The folder's handle, and whether the kernel may keep its listing: each change of it is told then.
pub(crate) fn opened_folder(reply: ReplyOpen, outcome: Outcome<(holdfast_engine::model::FileHandle, bool)>) {
    let kept = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
    match outcome {
        Ok((handle, true)) => reply.opened(FileHandle(handle.0), kept),
        Ok((handle, false)) => reply.opened(FileHandle(handle.0), FopenFlags::empty()),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn written(reply: ReplyWrite, outcome: Outcome<u32>) {
    match outcome {
        Ok(size) => reply.written(size),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn offset(reply: ReplyLseek, outcome: Outcome<u64>) {
    match outcome.map(i64::try_from) {
        Ok(Ok(offset)) => reply.offset(offset),
        Ok(Err(_)) => reply.error(Errno::EOVERFLOW),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn folder(reply: ReplyDirectory, outcome: Outcome<()>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn folder_plus(reply: ReplyDirectoryPlus, outcome: Outcome<()>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

pub(crate) fn statfs(reply: ReplyStatfs, outcome: Outcome<Statfs>) {
    const NAME_BYTES: u32 = 255;
    match outcome {
        Ok(s) => {
            let block = u32::try_from(s.block_bytes).unwrap_or(4096);
            reply.statfs(s.blocks, s.free, s.free, s.files, s.files_free, block, NAME_BYTES, block);
        }
        Err(errno) => reply.error(errno),
    }
}

/// An attribute's value or the list of names. `room` 0 asks only for the size.
pub(crate) fn sized(reply: ReplyXattr, room: u32, outcome: Outcome<Vec<u8>>) {
    match outcome {
        Ok(bytes) if room == 0 => reply.size(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
        Ok(bytes) if bytes.len() > room as usize => reply.error(Errno::ERANGE),
        Ok(bytes) => reply.data(&bytes),
        Err(errno) => reply.error(errno),
    }
}
