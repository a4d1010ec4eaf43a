//! A second user who does things at random, the same things for the same seed.

use std::ops::Range;
use std::time::Duration;

use holdfast_engine::world::World;

use super::{FakeServer, UserAction};
use crate::rng::Rng;
use crate::snapshot::Entry;
use crate::words;
use crate::world::SimWorld;

/// Draws actions that fit what is there.
pub struct RandomUser {
    rng: Rng,
    /// Folders in which to work; the root where empty.
    folders: Vec<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum What {
    Edit,
    Save,
    Create,
    Remove,
    Rename,
    Mkdir,
    Chmod,
    Symlink,
    Touch,
}

impl RandomUser {
    pub fn new(rng: Rng) -> RandomUser {
        RandomUser { rng, folders: Vec::new() }
    }

    /// Works only below these folders.
    #[must_use]
    pub fn within(mut self, folders: &[&str]) -> RandomUser {
        self.folders = folders.iter().map(|f| f.as_bytes().to_vec()).collect();
        self
    }

    /// The next action; it may turn out to be impossible.
    pub fn draw(&mut self, server: &FakeServer) -> UserAction {
        let tree = server.tree();
        let inside = |path: &[u8]| {
            let below = |folder: &Vec<u8>| path.starts_with(folder) && path.get(folder.len()) == Some(&b'/');
            self.folders.is_empty() || self.folders.iter().any(below)
        };
        let mut folders = self.folders.clone();
        if folders.is_empty() {
            folders.push(Vec::new());
        }
        let (mut files, mut all) = (Vec::new(), Vec::new());
        for (path, entry) in tree.0.iter().filter(|(path, _)| inside(path.as_bytes())) {
            let path = path.as_bytes().to_vec();
            match entry {
                Entry::Folder { .. } => folders.push(path.clone()),
                Entry::File { .. } => files.push(path.clone()),
                Entry::Symlink { .. } | Entry::Special { .. } => {}
            }
            all.push(path);
        }
        let rng = &mut self.rng;
        let new_path = words::path_in(rng, &folders);
        let what = rng.weighted(&[
            (30, What::Edit),
            (15, What::Save),
            (20, What::Create),
            (10, What::Remove),
            (12, What::Rename),
            (5, What::Mkdir),
            (5, What::Chmod),
            (2, What::Symlink),
            (3, What::Touch),
        ]);
        let file = rng.pick(&files).cloned();
        let any = rng.pick(&all).cloned();
        match (what, file, any) {
            (What::Edit, Some(path), _) => UserAction::Write { path, content: words::content(rng) },
            (What::Save, Some(path), _) => UserAction::Save { path, content: words::content(rng) },
            (What::Remove, _, Some(path)) => UserAction::Remove { path },
            (What::Rename, _, Some(from)) => UserAction::Rename { from, to: new_path },
            (What::Chmod, _, Some(path)) => {
                let mode = if rng.chance(500) { 0o755 } else { 0o700 };
                UserAction::Chmod { path, mode }
            }
            (What::Touch, Some(path), _) => UserAction::Touch { path },
            (What::Mkdir, ..) => UserAction::Mkdir { path: new_path },
            (What::Symlink, ..) if server.profile().capabilities.symlinks => {
                UserAction::Symlink { path: new_path, target: words::name(rng) }
            }
            _ => UserAction::Write { path: new_path, content: words::content(rng) },
        }
    }

    /// Draws and does one; false where it was impossible.
    pub fn act(&mut self, server: &FakeServer) -> bool {
        let action = self.draw(server);
        server.user().apply(&action).is_ok()
    }

    /// So many actions in the background, with pauses drawn from the range.
    pub fn work(mut self, world: &SimWorld, server: &FakeServer, actions: u32, pause: Range<Duration>) {
        let (world2, server) = (world.clone(), server.clone());
        world.spawn(Box::pin(async move {
            for _ in 0..actions {
                let pause = self.rng.duration(&pause);
                world2.sleep(pause).await;
                self.act(&server);
            }
        }));
    }
}
