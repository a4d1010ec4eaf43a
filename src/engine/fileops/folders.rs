//! Reading folders: a picture is taken when a folder is opened, so positions in it stay valid.

use std::sync::Arc;

use crate::model::{FileHandle, Kind, NodeId};

use super::attrs::{attr_of, referenced};
use super::handles::OpenFolder;
use super::{Attr, Fileops, FolderEntry, Need, Op, OpError, views};

/// The entries of a folder as they were when it was opened, `.` and `..` first.
pub(super) struct Picture(pub Vec<FolderEntry>);

impl Fileops {
    /// Opens a folder for reading. A picture of it, `.` and `..` first, is taken when it is read from
    /// the start; positions in that stay valid until it is read from the start again.
    pub fn opendir(&self, node: NodeId) -> Op<FileHandle> {
        // Whether it can be read at all is told here.
        let picture = Arc::new(self.picture(node)?);
        Ok(self.0.handles.lock().add_folder(OpenFolder { picture }))
    }

    /// The picture to read on in from a position.
    fn picture_at(&self, node: NodeId, handle: FileHandle, position: u64) -> Op<Arc<Picture>> {
        let folder = self.0.handles.lock().folder(handle);
        if let Some(folder) = folder.filter(|_| position > 0) {
            return Ok(folder.picture);
        }
        let picture = match self.picture(node) {
            Ok(picture) => Arc::new(picture),
            // It was removed while it was open.
            Err(OpError::Stale) => Arc::new(Picture(Vec::new())),
            Err(error) => return Err(error),
        };
        // A handle of an engine before this one is taken on: names stay in their order.
        self.0.handles.lock().put_folder(handle, OpenFolder { picture: picture.clone() });
        Ok(picture)
    }

    fn picture(&self, node: NodeId) -> Op<Picture> {
        if views::is_view(node) {
            return Ok(Picture(self.view_entries(node)?));
        }
        let tree = self.store().read();
        let live = tree.node(node).ok_or(OpError::Stale)?;
        if live.row.kind != Kind::Folder {
            return Err(OpError::NotFolder);
        }
        if !live.row.listed {
            return Err(OpError::NotHere(Need::Listing(node)));
        }
        let above = tree
            .folder_item(node)
            .and_then(|id| tree.item(id))
            .and_then(|item| item.entry.as_ref())
            .map_or(NodeId::ROOT, |entry| entry.parent);
        let mut entries = Vec::with_capacity(live.children.len() + 2);
        entries.push(FolderEntry { node, kind: Kind::Folder, name: b".".to_vec() });
        entries.push(FolderEntry { node: above, kind: Kind::Folder, name: b"..".to_vec() });
        for (name, id) in live.children.iter() {
            let Some(entry) = tree.item(*id).and_then(|i| i.entry.as_ref()) else {
                continue;
            };
            let Some(child) = tree.node(entry.node) else {
                continue;
            };
            let name = name.as_bytes().to_vec();
            entries.push(FolderEntry { node: entry.node, kind: child.row.kind, name });
        }
        Ok(Picture(entries))
    }

    /// Hands over entries from `position` (0 at first) with the position after each, until `take`
    /// answers false.
    pub fn readdir(
        &self,
        node: NodeId,
        handle: FileHandle,
        position: u64,
        take: &mut dyn FnMut(&FolderEntry, u64) -> bool,
    ) -> Op<()> {
        let picture = self.picture_at(node, handle, position)?;
        for (index, entry) in picture.0.iter().enumerate().skip(position as usize) {
            if !take(entry, index as u64 + 1) {
                break;
            }
        }
        Ok(())
    }

    /// As `readdir`, with attributes; counts a reference for each entry taken, except `.` and `..`.
    pub fn readdirplus(
        &self,
        node: NodeId,
        handle: FileHandle,
        position: u64,
        take: &mut dyn FnMut(&FolderEntry, u64, &Attr) -> bool,
    ) -> Op<()> {
        let picture = self.picture_at(node, handle, position)?;
        let tree = self.store().read();
        for (index, entry) in picture.0.iter().enumerate().skip(position as usize) {
            let after = index as u64 + 1;
            if views::is_view(entry.node) {
                let Ok(attr) = self.view_attr_in(&tree, entry.node) else {
                    continue;
                };
                if !take(entry, after, &attr) {
                    break;
                }
                continue;
            }
            // What went since the picture was taken is left out.
            let Some(live) = tree.node(entry.node) else {
                continue;
            };
            let attr = attr_of(self.store(), live);
            if !take(entry, after, &attr) {
                break;
            }
            if !matches!(entry.name.as_slice(), b"." | b"..") {
                referenced(self.store(), live);
            }
        }
        Ok(())
    }

    pub fn releasedir(&self, handle: FileHandle) {
        self.0.handles.lock().remove_folder(handle);
    }

    pub fn fsyncdir(&self, _node: NodeId) -> Op<()> {
        self.store().flush().map_err(OpError::from)
    }
}
