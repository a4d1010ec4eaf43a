//! The second user: somebody who works at the server itself while the engine works at its mirror.

use std::collections::BTreeMap;

use holdfast_engine::model::{LocPath, Name};
use holdfast_engine::remote::TEMP_PREFIX;

use super::FakeServer;
use super::tree::{Body, Ino, Tree, TreeError};
use crate::snapshot::{Entry, Snapshot};

/// Something the second user does. Folders on the way are made where they are missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserAction {
    /// Writes into the file that is there, or a new one.
    Write {
        path: Vec<u8>,
        content: Vec<u8>,
    },
    /// A new file under the old name, as careful programs save.
    Save {
        path: Vec<u8>,
        content: Vec<u8>,
    },
    /// With all that is below.
    Remove {
        path: Vec<u8>,
    },
    /// A file at `to` is replaced; the folder of `to` must be there.
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Mkdir {
        path: Vec<u8>,
    },
    Symlink {
        path: Vec<u8>,
        target: Vec<u8>,
    },
    Link {
        existing: Vec<u8>,
        path: Vec<u8>,
    },
    Chmod {
        path: Vec<u8>,
        mode: u32,
    },
    SetXattr {
        path: Vec<u8>,
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// A new mtime and no other change.
    Touch {
        path: Vec<u8>,
    },
    /// A fifo or device, which no location can hold.
    Special {
        path: Vec<u8>,
        mode: u32,
    },
}

impl UserAction {
    pub fn path(&self) -> &[u8] {
        match self {
            UserAction::Write { path, .. }
            | UserAction::Save { path, .. }
            | UserAction::Remove { path }
            | UserAction::Rename { to: path, .. }
            | UserAction::Mkdir { path }
            | UserAction::Symlink { path, .. }
            | UserAction::Link { path, .. }
            | UserAction::Chmod { path, .. }
            | UserAction::SetXattr { path, .. }
            | UserAction::Touch { path }
            | UserAction::Special { path, .. } => path,
        }
    }
}

/// Short to write in tests: each of these panics where it cannot be done; [`User::apply`] tells.
pub struct User {
    server: FakeServer,
}

impl User {
    pub(super) fn new(server: FakeServer) -> User {
        User { server }
    }

    #[track_caller]
    pub fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> &User {
        let content = content.as_ref().to_vec();
        self.must(UserAction::Write { path: path.as_ref().to_vec(), content })
    }

    #[track_caller]
    pub fn save(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> &User {
        let content = content.as_ref().to_vec();
        self.must(UserAction::Save { path: path.as_ref().to_vec(), content })
    }

    #[track_caller]
    pub fn remove(&self, path: impl AsRef<[u8]>) -> &User {
        self.must(UserAction::Remove { path: path.as_ref().to_vec() })
    }

    #[track_caller]
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> &User {
        let to = to.as_ref().to_vec();
        self.must(UserAction::Rename { from: from.as_ref().to_vec(), to })
    }

    #[track_caller]
    pub fn mkdir(&self, path: impl AsRef<[u8]>) -> &User {
        self.must(UserAction::Mkdir { path: path.as_ref().to_vec() })
    }

    #[track_caller]
    pub fn symlink(&self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> &User {
        let target = target.as_ref().to_vec();
        self.must(UserAction::Symlink { path: path.as_ref().to_vec(), target })
    }

    #[track_caller]
    pub fn link(&self, existing: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> &User {
        let path = path.as_ref().to_vec();
        self.must(UserAction::Link { existing: existing.as_ref().to_vec(), path })
    }

    #[track_caller]
    pub fn chmod(&self, path: impl AsRef<[u8]>, mode: u32) -> &User {
        self.must(UserAction::Chmod { path: path.as_ref().to_vec(), mode })
    }

    #[track_caller]
    pub fn touch(&self, path: impl AsRef<[u8]>) -> &User {
        self.must(UserAction::Touch { path: path.as_ref().to_vec() })
    }

    #[track_caller]
    fn must(&self, action: UserAction) -> &User {
        if let Err(error) = self.apply(&action) {
            panic!("the second user cannot {action:?}: {error:?}");
        }
        self
    }

    /// Does it at once, and tells those who watch.
    pub fn apply(&self, action: &UserAction) -> Result<(), TreeError> {
        let now = self.server.now();
        let done = self.server.inner.state.lock().apply(action, now);
        self.server.trace(|| format!("user: {} -> {done:?}", describe(action)));
        if done.is_ok() {
            self.server.hint(action.path());
            if let UserAction::Rename { from, .. } = action {
                self.server.hint(from);
            }
        }
        done
    }

    /// The bytes of a file.
    pub fn content(&self, path: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let state = self.server.inner.state.lock();
        let ino = state.tree.find(path.as_ref(), &state.profile).ok()?;
        match &state.tree.node(ino).body {
            Body::File(content) => Some(content.to_vec()),
            _ => None,
        }
    }

    pub fn exists(&self, path: impl AsRef<[u8]>) -> bool {
        let state = self.server.inner.state.lock();
        state.tree.find(path.as_ref(), &state.profile).is_ok()
    }

    /// All that is there, without temporary names and names that no client can take.
    pub fn tree(&self) -> Snapshot {
        let state = self.server.inner.state.lock();
        let mut into = BTreeMap::new();
        let root = state.tree.root();
        collect(&state.tree, root, &LocPath::root(), false, &mut into);
        Snapshot(into)
    }

    /// Temporary names of anybody, with their whole paths.
    pub fn temporaries(&self) -> Vec<LocPath> {
        let state = self.server.inner.state.lock();
        let mut into = BTreeMap::new();
        collect(&state.tree, state.tree.root(), &LocPath::root(), true, &mut into);
        into.into_keys().filter(is_temporary).collect()
    }
}

fn is_temporary(path: &LocPath) -> bool {
    path.split_last().is_some_and(|(_, name)| name.as_bytes().starts_with(TEMP_PREFIX))
}

fn collect(tree: &Tree, folder: Ino, at: &LocPath, temporary: bool, into: &mut BTreeMap<LocPath, Entry>) {
    let Ok(entries) = tree.folder(folder) else {
        return;
    };
    for (name, ino) in entries.values() {
        let Ok(name) = Name::new(name) else {
            continue;
        };
        let path = at.join(&name);
        if !temporary && is_temporary(&path) {
            continue;
        }
        let node = tree.node(*ino);
        let entry = match &node.body {
            Body::File(content) => Entry::File {
                content: content.to_vec(),
                mode: node.mode,
                mtime: Some(node.mtime),
                xattrs: node.xattrs.clone(),
            },
            Body::Folder(_) => Entry::Folder { mode: node.mode },
            Body::Symlink(target) => Entry::Symlink { target: target.to_vec() },
            Body::Special(mode) => Entry::Special { mode: *mode },
        };
        into.insert(path.clone(), entry);
        collect(tree, *ino, &path, temporary, into);
    }
}

/// One line, without content.
fn describe(action: &UserAction) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match action {
        UserAction::Write { path, content } => format!("write {} ({} bytes)", text(path), content.len()),
        UserAction::Save { path, content } => format!("save {} ({} bytes)", text(path), content.len()),
        UserAction::Rename { from, to } => format!("rename {} to {}", text(from), text(to)),
        UserAction::Link { existing, path } => format!("link {} as {}", text(existing), text(path)),
        UserAction::Remove { path } => format!("remove {}", text(path)),
        UserAction::Mkdir { path } => format!("mkdir {}", text(path)),
        UserAction::Chmod { path, mode } => format!("chmod {} {mode:o}", text(path)),
        UserAction::Symlink { path, .. } => format!("symlink {}", text(path)),
        UserAction::SetXattr { path, .. } => format!("attribute of {}", text(path)),
        UserAction::Touch { path } => format!("touch {}", text(path)),
        UserAction::Special { path, .. } => format!("special {}", text(path)),
    }
}
