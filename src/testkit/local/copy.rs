//! The oracle made anew from what a file system shows: names, nodes, hard links, open files.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_engine::fileops::{Attr, OpError, OpenMode};
use holdfast_engine::model::{Kind, NodeId};
use holdfast_engine::world::World;

use super::fs::{LocalFs, Op};
use super::model::ModelFs;
use super::tree::{Body, Tree};

/// An oracle that is as another file system was.
pub struct Copied {
    pub fs: ModelFs,
    /// Where its nodes are in the oracle.
    pub nodes: BTreeMap<NodeId, NodeId>,
    /// Something was not here: its bytes are zeros in the oracle, its names are missing.
    pub hazy: bool,
}

struct Copy<'a> {
    from: &'a dyn LocalFs,
    tree: Tree,
    world: Arc<dyn World>,
    nodes: BTreeMap<NodeId, NodeId>,
    hazy: bool,
}

/// Copies what lies in `root`, and the nodes in `open` that no name leads to any more. Fetches
/// nothing.
pub fn copy_of(world: &Arc<dyn World>, from: &dyn LocalFs, root: NodeId, open: &[NodeId]) -> Op<Copied> {
    let mut copy = Copy {
        from,
        tree: Tree::new(world.now()),
        world: world.clone(),
        nodes: BTreeMap::from([(root, NodeId::ROOT)]),
        hazy: false,
    };
    let attr = from.getattr(root)?;
    copy.tree.inode_mut(NodeId::ROOT.0).mode = attr.mode;
    copy.folder(root, NodeId::ROOT.0)?;
    for node in open {
        if !copy.nodes.contains_key(node) {
            let attr = from.getattr(*node)?;
            let id = copy.node(&attr)?;
            copy.tree.inode_mut(id).nlink = 0;
        }
    }
    Ok(Copied { fs: ModelFs::on(copy.tree, world), nodes: copy.nodes, hazy: copy.hazy })
}

impl Copy<'_> {
    fn folder(&mut self, from: NodeId, into: u64) -> Op<()> {
        let entries = match self.from.read_folder(from) {
            Ok(entries) => entries,
            Err(OpError::NotHere(_)) => {
                self.hazy = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (entry, attr) in entries {
            self.from.forget(attr.node, 1);
            let known = self.nodes.get(&attr.node).copied();
            let id = match known {
                Some(id) => {
                    self.tree.inode_mut(id.0).nlink += 1;
                    id.0
                }
                None => self.node(&attr)?,
            };
            let now = self.world.now();
            self.tree.entries_mut(into, now)?.insert(entry.name, id);
            if attr.kind == Kind::Folder {
                self.tree.inode_mut(into).nlink += 1;
                self.folder(attr.node, id)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, attr: &Attr) -> Op<u64> {
        let body = match attr.kind {
            Kind::Folder => Body::Folder(BTreeMap::new()),
            Kind::Symlink => Body::Symlink(self.from.readlink(attr.node)?),
            _ => Body::File(self.bytes(attr)?),
        };
        let id = self.tree.add(body, attr.mode, self.world.now());
        if attr.kind != Kind::Symlink {
            for name in self.from.listxattr(attr.node)? {
                let value = self.from.getxattr(attr.node, &name)?;
                self.tree.inode_mut(id).xattrs.insert(name, value);
            }
        }
        self.nodes.insert(attr.node, NodeId(id));
        Ok(id)
    }

    fn bytes(&mut self, attr: &Attr) -> Op<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(attr.size).map_err(|_| OpError::TooLarge)?];
        let opened = self.from.open(attr.node, OpenMode::default())?;
        let read = self.from.read(attr.node, opened.handle, 0, &mut bytes);
        self.from.release(attr.node, opened.handle);
        match read {
            Ok(_) => {}
            Err(OpError::NotHere(_)) => self.hazy = true,
            Err(error) => return Err(error),
        }
        Ok(bytes)
    }
}
