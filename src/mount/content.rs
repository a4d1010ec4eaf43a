//! Reading and writing what files hold.

use fuser::{ReplyData, ReplyEmpty, ReplyLseek, ReplyWrite};
use holdfast_engine::fileops::{Caller, OpError};
use holdfast_engine::model::{FileHandle, NodeId};

use crate::answer;
use crate::buffer::Buffer;
use crate::convert::{self, errno};
use crate::server::{Server, guarded};

const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// A file, how it is open, and an offset in it.
type At = (NodeId, FileHandle, u64);

impl Server {
    pub fn read_content(
        &self,
        caller: Caller,
        node: NodeId,
        handle: FileHandle,
        offset: u64,
        size: u32,
        reply: ReplyData,
    ) {
        self.serve(
            caller,
            reply,
            move |fileops, _| {
                let mut buffer = Buffer::take(size as usize);
                let read = fileops.read(node, handle, offset, buffer.as_mut())?;
                buffer.shorten(read);
                Ok(buffer)
            },
            answer::buffer,
        );
    }

    /// The bytes are the session thread's; they are copied only where the write must wait.
    pub fn write_content(
        &self,
        caller: Caller,
        (node, handle, offset): At,
        data: &[u8],
        kill_suid: bool,
        reply: ReplyWrite,
    ) {
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        match guarded(|| self.fileops.write(node, handle, offset, data, kill_suid)) {
            Err(OpError::NotHere(need)) => {
                let data = data.to_vec();
                self.wait(
                    caller,
                    need,
                    reply,
                    move |fileops, _| {
                        fileops.write(node, handle, offset, &data, kill_suid)?;
                        Ok(size)
                    },
                    answer::written,
                );
            }
            result => answer::written(reply, result.map(|()| size).map_err(|error| errno(&error))),
        }
    }

    pub fn allocate_content(
        &self,
        caller: Caller,
        (node, handle, offset): At,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.serve(
            caller,
            reply,
            move |fileops, _| {
                let how = convert::allocate(mode)?;
                fileops.allocate(node, handle, offset, length, how)
            },
            answer::empty,
        );
    }

    /// The kernel does all other kinds of seeking by itself.
    pub fn seek_content(
        &self,
        caller: Caller,
        node: NodeId,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.serve(
            caller,
            reply,
            move |fileops, _| {
                // Before the start there is neither data nor a hole.
                let offset = u64::try_from(offset).map_err(|_| OpError::PastEnd)?;
                match whence {
                    SEEK_DATA => fileops.seek(node, handle, offset, true),
                    SEEK_HOLE => fileops.seek(node, handle, offset, false),
                    _ => Err(OpError::Invalid),
                }
            },
            answer::offset,
        );
    }
}
