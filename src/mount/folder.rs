//! Listing folders. A position of the kernel is one in the picture that was taken when the folder
//! was opened, so what changes meanwhile neither hides nor doubles an entry.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use fuser::{INodeNo, ReplyDirectory, ReplyDirectoryPlus};
use holdfast_engine::fileops::{Caller, OpError};
use holdfast_engine::model::{FileHandle, NodeId};

use crate::answer::{self, GENERATION};
use crate::convert::{file_attr, file_type};
use crate::server::Server;

/// A folder and how it is open.
type Open = (NodeId, FileHandle);

impl Server {
    pub fn list(&self, caller: Caller, (node, handle): Open, position: u64, reply: ReplyDirectory) {
        self.serve(
            caller,
            reply,
            move |fileops, reply: &mut ReplyDirectory| {
                let mut taken = 0;
                let result = fileops.readdir(node, handle, position, &mut |entry, next| {
                    let name = OsStr::from_bytes(&entry.name);
                    let fits = !reply.add(INodeNo(entry.node.0), next, file_type(entry.kind), name);
                    taken += u32::from(fits);
                    fits
                });
                some_is_enough(taken, result)
            },
            answer::folder,
        );
    }

    pub fn list_plus(&self, caller: Caller, (node, handle): Open, position: u64, reply: ReplyDirectoryPlus) {
        self.serve(
            caller,
            reply,
            move |fileops, reply: &mut ReplyDirectoryPlus| {
                let mut taken = 0;
                let result = fileops.readdirplus(node, handle, position, &mut |entry, next, attr| {
                    let life = answer::life(attr);
                    let (number, attr) = (INodeNo(entry.node.0), file_attr(attr));
                    let name = OsStr::from_bytes(&entry.name);
                    let fits = !reply.add(number, next, name, &life, &attr, GENERATION);
                    taken += u32::from(fits);
                    fits
                });
                some_is_enough(taken, result)
            },
            answer::folder_plus,
        );
    }
}

/// Entries that were handed over count as given to the kernel, so they must reach it: what went
/// wrong behind them comes up again at the next request, which begins there.
fn some_is_enough(taken: u32, result: Result<(), OpError>) -> Result<(), OpError> {
    if taken > 0 { Ok(()) } else { result }
}
