//! Extended attributes: `user.` ones of programs, and the read-only `user.holdfast.` ones of ours.

use std::sync::Arc;

use crate::model::{Kind, NodeId};
use crate::store::rows::Item;
use crate::store::tree::{Live, Tree};

use super::attrs::note_change;
use super::{Caller, Fileops, Op, OpError, XattrMode, views};

const OURS: &[u8] = b"user.holdfast.";
/// As on most local file systems.
const MAX_NAME_BYTES: usize = 255;
const MAX_VALUE_BYTES: usize = 65536;

impl Fileops {
    pub fn getxattr(&self, node: NodeId, name: &[u8]) -> Op<Vec<u8>> {
        if views::is_view(node) {
            return Err(OpError::NoAttribute);
        }
        let tree = self.store().read();
        let live = tree.node(node).ok_or(OpError::Stale)?;
        if let Some(ours) = name.strip_prefix(OURS) {
            return self.own_attribute(&tree, live, ours);
        }
        if !name.starts_with(b"user.") {
            return Err(OpError::Unsupported);
        }
        let found = live.row.xattrs.binary_search_by(|(n, _)| n.as_slice().cmp(name));
        found.map(|at| live.row.xattrs[at].1.clone()).map_err(|_| OpError::NoAttribute)
    }

    pub fn setxattr(
        &self,
        caller: Caller,
        node: NodeId,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
    ) -> Op<()> {
        self.refuse_views(node)?;
        if name.starts_with(OURS) {
            return Err(OpError::NotPermitted);
        }
        if !name.starts_with(b"user.") {
            return Err(OpError::Unsupported);
        }
        if name.len() > MAX_NAME_BYTES || name.len() == b"user.".len() {
            return Err(OpError::Range);
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(OpError::Range);
        }
        self.change_xattrs(caller, node, |xattrs| {
            match (xattrs.binary_search_by(|(n, _)| n.as_slice().cmp(name)), mode) {
                (Ok(_), XattrMode::Create) => Err(OpError::Exists),
                (Err(_), XattrMode::Replace) => Err(OpError::NoAttribute),
                (Ok(at), _) => {
                    xattrs[at].1 = value.to_vec();
                    Ok(())
                }
                (Err(at), _) => {
                    xattrs.insert(at, (name.to_vec(), value.to_vec()));
                    Ok(())
                }
            }
        })
    }

    /// Ours are not listed: programs that copy attributes would carry them along.
    pub fn listxattr(&self, node: NodeId) -> Op<Vec<Vec<u8>>> {
        if views::is_view(node) {
            return Ok(Vec::new());
        }
        let tree = self.store().read();
        let live = tree.node(node).ok_or(OpError::Stale)?;
        Ok(live.row.xattrs.iter().map(|(name, _)| name.clone()).collect())
    }

    pub fn removexattr(&self, caller: Caller, node: NodeId, name: &[u8]) -> Op<()> {
        self.refuse_views(node)?;
        if name.starts_with(OURS) {
            return Err(OpError::NotPermitted);
        }
        self.change_xattrs(caller, node, |xattrs| {
            let at =
                xattrs.binary_search_by(|(n, _)| n.as_slice().cmp(name)).map_err(|_| OpError::NoAttribute)?;
            xattrs.remove(at);
            Ok(())
        })
    }

    fn change_xattrs(
        &self,
        caller: Caller,
        node: NodeId,
        change: impl FnOnce(&mut Vec<(Vec<u8>, Vec<u8>)>) -> Op<()>,
    ) -> Op<()> {
        if self.was_done(caller) {
            return Ok(());
        }
        self.store().write(|tx| {
            tx.answer(caller.request);
            let live = tx.tree().node(node).ok_or(OpError::Stale)?;
            if !matches!(live.row.kind, Kind::File | Kind::Folder) || node == NodeId::ROOT {
                return Err(OpError::NotPermitted);
            }
            let links = live.links.clone();
            let mut xattrs = (*live.row.xattrs).clone();
            change(&mut xattrs)?;
            let now = tx.now();
            tx.edit_node(node, |row| {
                row.xattrs = Arc::new(xattrs);
                row.ctime = now;
            });
            note_change(tx, node);
            links.into_iter().for_each(|item| tx.relog(item));
            Ok(())
        })
    }

    fn own_attribute(&self, tree: &Tree, live: &Live, name: &[u8]) -> Op<Vec<u8>> {
        let item = live.links.first().and_then(|id| tree.item(*id)).ok_or(OpError::NoAttribute)?;
        match name {
            b"presence" => Ok(self.presence(live).into()),
            b"state" => Ok(state_word(item).into()),
            b"version" => {
                let state = tree.server_state(item).ok_or(OpError::NoAttribute)?;
                Ok(state.meta.version.to_text().into_bytes())
            }
            b"pinned" => Ok(if tree.is_pinned(item.id) { "yes" } else { "no" }.into()),
            _ => Err(OpError::NoAttribute),
        }
    }

    fn presence(&self, live: &Live) -> &'static str {
        match live.row.kind {
            Kind::Folder if !live.row.listed => "absent",
            Kind::File => {
                let content = live.row.content.and_then(|id| self.store().contents().get(id));
                match content {
                    Some(content) if content.is_whole() => "present",
                    Some(content) if content.present_bytes() > 0 => "partial",
                    Some(_) => "absent",
                    None => "present",
                }
            }
            _ => "present",
        }
    }
}

fn state_word(item: &Item) -> &'static str {
    if item.conflict.is_some() {
        "conflict"
    } else if item.problem.is_some() {
        "problem"
    } else if item.pending.is_some() || item.sending.is_some() || item.local_only {
        "changed"
    } else {
        "clean"
    }
}
