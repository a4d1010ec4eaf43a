//! The tree a fake server holds: files, folders and links by number. No guards, no faults, no
//! time: those are of the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_engine::model::{Kind, Meta, Time, Version};

use super::profile::{Mark, Profile};

/// A number of a file, for ever its own in a [`Tree`] (what `file_id` shows may be used again).
pub(super) type Ino = u64;

/// By key (see [`Profile::key`]): the name as it was given, and where it leads.
pub(super) type Entries = BTreeMap<Vec<u8>, (Vec<u8>, Ino)>;

#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Arc<Vec<u8>>),
    Folder(Entries),
    Symlink(Arc<[u8]>),
    /// Fifo, device: its mode with the type.
    Special(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub body: Body,
    pub mode: u32,
    pub mtime: Time,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Counts changes as the profile's mark wants it.
    stamp: u64,
    pub links: u32,
    file_id: u64,
}

/// Why a path leads nowhere, or a change cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TreeError {
    NotFound,
    NotFolder,
    IsFolder,
    Exists,
    NotEmpty,
    IntoItself,
    BadName(&'static str),
}

pub(super) type Result<T> = std::result::Result<T, TreeError>;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Ino, Node>,
    root: Ino,
    next_ino: Ino,
    next_stamp: u64,
    free_ids: BTreeSet<u64>,
}

/// The names in a path, from the top; empty ones are left out.
pub(super) fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    path.split(|&b| b == b'/').filter(|p| !p.is_empty())
}

/// The folder's path and the name in it; `None` for the root.
pub(super) fn split(path: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut names: Vec<&[u8]> = parts(path).collect();
    let name = names.pop()?.to_vec();
    Some((names.join(&b'/'), name))
}

impl Tree {
    pub(super) fn new(now: Time) -> Tree {
        let mut tree =
            Tree { nodes: BTreeMap::new(), root: 0, next_ino: 2, next_stamp: 1, free_ids: BTreeSet::new() };
        tree.root = tree.add(Body::Folder(BTreeMap::new()), 0o755, now, false);
        tree
    }

    pub(super) fn root(&self) -> Ino {
        self.root
    }

    pub(super) fn exists(&self, ino: Ino) -> bool {
        self.nodes.contains_key(&ino)
    }

    pub(super) fn node(&self, ino: Ino) -> &Node {
        self.nodes.get(&ino).expect("entries lead to nodes that exist")
    }

    pub(super) fn node_mut(&mut self, ino: Ino) -> &mut Node {
        self.nodes.get_mut(&ino).expect("entries lead to nodes that exist")
    }

    /// A node without a name; `reuse` gives it the `file_id` of one that is gone.
    pub(super) fn add(&mut self, body: Body, mode: u32, mtime: Time, reuse: bool) -> Ino {
        let ino = self.next_ino;
        self.next_ino += 1;
        let file_id = reuse.then(|| self.free_ids.pop_first()).flatten().unwrap_or(ino);
        let stamp = self.stamp();
        let xattrs = BTreeMap::new();
        let node = Node { body, mode, mtime, xattrs, stamp, links: 0, file_id };
        self.nodes.insert(ino, node);
        ino
    }

    fn stamp(&mut self) -> u64 {
        self.next_stamp += 1;
        self.next_stamp
    }

    /// Counts a change of content (or of attributes where the mark counts them).
    pub(super) fn touch(&mut self, ino: Ino, content: bool, profile: &Profile) {
        if content || profile.mark == (Mark::Counter { attributes: true }) {
            let stamp = self.stamp();
            self.node_mut(ino).stamp = stamp;
        }
    }

    pub(super) fn folder(&self, ino: Ino) -> Result<&Entries> {
        match &self.node(ino).body {
            Body::Folder(entries) => Ok(entries),
            _ => Err(TreeError::NotFolder),
        }
    }

    fn folder_mut(&mut self, ino: Ino) -> Result<&mut Entries> {
        match &mut self.node_mut(ino).body {
            Body::Folder(entries) => Ok(entries),
            _ => Err(TreeError::NotFolder),
        }
    }

    pub(super) fn find(&self, path: &[u8], profile: &Profile) -> Result<Ino> {
        parts(path).try_fold(self.root, |at, name| {
            let entries = self.folder(at).map_err(|_| TreeError::NotFound)?;
            let (_, ino) = entries.get(&profile.key(name)).ok_or(TreeError::NotFound)?;
            Ok(*ino)
        })
    }

    /// Gives a node a name that is free.
    pub(super) fn attach(&mut self, folder: Ino, name: &[u8], node: Ino, profile: &Profile) -> Result<()> {
        if let Some(why) = profile.refuses(name) {
            return Err(TreeError::BadName(why));
        }
        let key = profile.key(name);
        let entries = self.folder_mut(folder)?;
        if entries.contains_key(&key) {
            return Err(TreeError::Exists);
        }
        entries.insert(key, (name.to_vec(), node));
        self.node_mut(node).links += 1;
        Ok(())
    }

    /// Takes the name away; the node stays, perhaps without any name (see [`Tree::drop_unnamed`]).
    pub(super) fn detach(&mut self, folder: Ino, name: &[u8], profile: &Profile) -> Result<Ino> {
        let key = profile.key(name);
        let (_, ino) = self.folder_mut(folder)?.remove(&key).ok_or(TreeError::NotFound)?;
        self.node_mut(ino).links -= 1;
        Ok(ino)
    }

    /// A node that has no name left goes, and all below it.
    pub(super) fn drop_unnamed(&mut self, ino: Ino, profile: &Profile) {
        if self.node(ino).links > 0 {
            return;
        }
        if let Body::Folder(entries) = &mut self.node_mut(ino).body {
            for (_, (_, below)) in std::mem::take(entries) {
                self.node_mut(below).links -= 1;
                self.drop_unnamed(below, profile);
            }
        }
        if let Some(node) = self.nodes.remove(&ino)
            && profile.reuses_file_ids
        {
            self.free_ids.insert(node.file_id);
        }
    }

    /// Whether `inner` is `outer` or lies below it.
    pub(super) fn holds(&self, outer: Ino, inner: Ino) -> bool {
        outer == inner
            || self
                .folder(outer)
                .is_ok_and(|entries| entries.values().any(|(_, ino)| self.holds(*ino, inner)))
    }

    /// Bytes of all files.
    pub(super) fn used_bytes(&self) -> u64 {
        let size = |node: &Node| match &node.body {
            Body::File(content) => content.len() as u64,
            _ => 0,
        };
        self.nodes.values().map(size).sum()
    }

    pub(super) fn version(&self, ino: Ino, profile: &Profile) -> Version {
        let node = self.node(ino);
        let text = match (&node.body, profile.mark) {
            (Body::Folder(_), _) => "folder".to_string(),
            (Body::File(content), Mark::SizeAndTime) => format!("{}@{}", content.len(), node.mtime.0),
            (Body::Symlink(target), Mark::SizeAndTime) => format!("{}@{}", target.len(), node.mtime.0),
            _ => format!("v{}", node.stamp),
        };
        Version::new(text.as_bytes())
    }

    /// As the server tells it.
    pub(super) fn meta(&self, ino: Ino, profile: &Profile) -> Meta {
        let node = self.node(ino);
        let (kind, size, link_target) = match &node.body {
            Body::File(content) => (Kind::File, content.len() as u64, None),
            Body::Folder(_) => (Kind::Folder, 0, None),
            Body::Symlink(target) => (Kind::Symlink, target.len() as u64, Some(target.clone())),
            Body::Special(mode) => (Kind::from_mode(*mode), 0, None),
        };
        let can = &profile.capabilities;
        let xattrs = || node.xattrs.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Meta {
            kind,
            mode: node.mode,
            size,
            mtime: node.mtime,
            link_target,
            xattrs: can.xattrs.then(|| Arc::new(xattrs())),
            version: self.version(ino, profile),
            file_id: can.file_ids.then_some(node.file_id),
        }
    }
}
