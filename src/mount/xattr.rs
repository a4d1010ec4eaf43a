//! Extended attributes, and which of them exist at all.
//!
//! The kernel asks for attributes of other name spaces often and on its own account
//! (`security.capability`, access lists): those are answered here, without the engine. None of
//! the answers may be `ENOSYS`, which would switch attributes off for good.

use fuser::{Errno, ReplyEmpty, ReplyXattr};
use holdfast_engine::fileops::{Caller, XattrMode};
use holdfast_engine::model::NodeId;

use crate::answer;
use crate::server::Server;

impl Server {
    pub fn get_attribute(&self, caller: Caller, node: NodeId, name: &[u8], room: u32, reply: ReplyXattr) {
        if let Some(errno) = refuse_reading(name) {
            return reply.error(errno);
        }
        let name = name.to_vec();
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.getxattr(node, &name),
            move |reply, outcome| answer::sized(reply, room, outcome),
        );
    }

    pub fn list_attributes(&self, caller: Caller, node: NodeId, room: u32, reply: ReplyXattr) {
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.listxattr(node).map(|names| join(&names)),
            move |reply, outcome| answer::sized(reply, room, outcome),
        );
    }

    pub fn set_attribute(
        &self,
        caller: Caller,
        node: NodeId,
        name: &[u8],
        value: &[u8],
        flags: i32,
        reply: ReplyEmpty,
    ) {
        if let Some(errno) = refuse_writing(name) {
            return reply.error(errno);
        }
        let mode = match mode(flags) {
            Ok(mode) => mode,
            Err(errno) => return reply.error(errno),
        };
        let (name, value) = (name.to_vec(), value.to_vec());
        self.serve(
            caller,
            reply,
            move |fileops, _| fileops.setxattr(caller, node, &name, &value, mode),
            answer::empty,
        );
    }

    pub fn remove_attribute(&self, caller: Caller, node: NodeId, name: &[u8], reply: ReplyEmpty) {
        if let Some(errno) = refuse_reading(name) {
            return reply.error(errno);
        }
        let name = name.to_vec();
        self.serve(caller, reply, move |fileops, _| fileops.removexattr(caller, node, &name), answer::empty);
    }
}

/// What reading and removing answer for a name that can have no value here.
fn refuse_reading(name: &[u8]) -> Option<Errno> {
    match name {
        n if n.starts_with(b"user.") => None,
        n if n.starts_with(b"security.") || n.starts_with(b"trusted.") => Some(Errno::ENODATA),
        _ => Some(Errno::EOPNOTSUPP),
    }
}

fn refuse_writing(name: &[u8]) -> Option<Errno> {
    (!name.starts_with(b"user.")).then_some(Errno::EOPNOTSUPP)
}

/// `XATTR_CREATE` and `XATTR_REPLACE`.
fn mode(flags: i32) -> Result<XattrMode, Errno> {
    use rustix::fs::XattrFlags as Flags;
    match Flags::from_bits_retain(flags as u32) {
        f if f.is_empty() => Ok(XattrMode::Any),
        Flags::CREATE => Ok(XattrMode::Create),
        Flags::REPLACE => Ok(XattrMode::Replace),
        _ => Err(Errno::EINVAL),
    }
}

/// As `listxattr` gives them: each with a NUL behind it.
fn join(names: &[Vec<u8>]) -> Vec<u8> {
    let mut list = Vec::with_capacity(names.iter().map(|n| n.len() + 1).sum());
    for name in names {
        list.extend_from_slice(name);
        list.push(0);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_user_attributes_exist_and_no_answer_switches_them_off() {
        assert_eq!(refuse_reading(b"user.a"), None);
        assert_eq!(refuse_writing(b"user.a"), None);
        for name in ["security.capability", "system.posix_acl_access", "trusted.a", "odd"] {
            for errno in [refuse_reading(name.as_bytes()), refuse_writing(name.as_bytes())] {
                let code = errno.unwrap().code();
                assert!(code != Errno::ENOSYS.code() && code != 0, "{name}");
            }
        }
        assert_eq!(refuse_reading(b"security.capability").unwrap().code(), Errno::ENODATA.code());
    }

    #[test]
    fn names_are_ended_by_nul() {
        assert_eq!(join(&[]), b"");
        assert_eq!(join(&[b"user.a".to_vec(), b"user.bc".to_vec()]), b"user.a\0user.bc\0");
    }
}
