//! A file server in memory: a tree, a second user, faults; [`FakeRemote`] is one connection to it.
//!
//! A call is sent, arrives after a while, has its effect in one step, and is answered after another
//! while; all times are drawn from the world's seed. What happens between these points happens to
//! the call: a line that breaks before the arrival means that nothing was done, one that breaks
//! after it means a lost answer, and the caller sees `Gone` both times.

mod call;
mod changes;
mod edits;
mod faults;
mod profile;
mod random;
mod remote;
mod swap;
mod tree;
mod user;

use std::sync::Arc;

use futures::channel::oneshot;
use holdfast_engine::model::{LocPath, Meta, Name, Time};
use holdfast_engine::remote::Hint;
use holdfast_engine::world::World;
use parking_lot::Mutex;

use crate::rng::Rng;
use crate::snapshot::Snapshot;
use crate::world::SimWorld;

pub use faults::{Effect, Faults, Hit, Line, Traffic};
pub use profile::{Mark, Profile, Window};
pub use random::RandomUser;
pub use remote::FakeRemote;
pub use tree::TreeError;
pub use user::{User, UserAction};

use tree::Tree;

/// What the second user does at the very moment of a swap.
type Race = Box<dyn FnOnce(&User) + Send>;

/// What is at the server's root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Root {
    Present,
    /// Empty, and `connect` can tell: a mount point with nothing mounted.
    Unmounted,
    /// Empty, and nothing else is strange about it.
    Emptied,
}

struct Watcher {
    folder: LocPath,
    /// The connection that watches.
    connection: u64,
    hints: async_channel::Sender<Hint>,
}

struct State {
    profile: Profile,
    tree: Tree,
    /// The tree while another one shows at the root.
    hidden: Option<Tree>,
    root: Root,
    line: Line,
    /// Grows each time that the line breaks: connections of an earlier one are dead.
    epoch: u64,
    faults: Faults,
    rng: Rng,
    races: Vec<(Vec<u8>, Race)>,
    watchers: Vec<Watcher>,
    /// Calls that wait for a frozen line.
    frozen: Vec<oneshot::Sender<()>>,
    hits: Vec<Hit>,
    effects: Vec<Effect>,
    traffic: Traffic,
    next_temp: u64,
}

struct Inner {
    name: String,
    world: SimWorld,
    state: Mutex<State>,
}

/// Cheap to clone; all clones are one server. Outlives engines.
#[derive(Clone)]
pub struct FakeServer {
    inner: Arc<Inner>,
}

impl FakeServer {
    pub fn new(world: &SimWorld, name: &str, profile: Profile) -> FakeServer {
        let state = State {
            tree: Tree::new(profile.step(world.now())),
            profile,
            hidden: None,
            root: Root::Present,
            line: Line::Up,
            epoch: 1,
            faults: Faults::default(),
            rng: world.rng(&format!("server {name}")),
            races: Vec::new(),
            watchers: Vec::new(),
            frozen: Vec::new(),
            hits: Vec::new(),
            effects: Vec::new(),
            traffic: Traffic::default(),
            next_temp: 1,
        };
        FakeServer {
            inner: Arc::new(Inner { name: name.to_owned(), world: world.clone(), state: Mutex::new(state) }),
        }
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The second user, who works at the server itself: no latency, no faults.
    pub fn user(&self) -> User {
        User::new(self.clone())
    }

    /// A connection; `owner` goes into temporary names.
    pub fn remote(&self, owner: &str) -> FakeRemote {
        FakeRemote::new(self.clone(), owner)
    }

    pub fn profile(&self) -> Profile {
        self.inner.state.lock().profile.clone()
    }

    /// As where the client goes to another network.
    pub fn change_profile(&self, change: impl FnOnce(&mut Profile)) {
        change(&mut self.inner.state.lock().profile);
    }

    /// All that is there, as the second user sees it (without temporary names).
    pub fn tree(&self) -> Snapshot {
        self.user().tree()
    }

    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.inner.state.lock().faults);
    }

    /// Breaks or mends the line. Connections do not survive a break: `connect` makes them anew.
    pub fn line(&self, line: Line) {
        let waiting = {
            let mut state = self.inner.state.lock();
            state.line = line;
            if let Line::Down(_) = line {
                state.break_all();
            }
            std::mem::take(&mut state.frozen)
        };
        self.trace(|| format!("line {line:?}"));
        drop(waiting);
    }

    /// From now on the root shows as empty; with `told`, a new `connect` finds that the folder is
    /// not the one it was.
    pub fn empty_root(&self, told: bool) {
        let now = self.now();
        let mut state = self.inner.state.lock();
        state.root = if told { Root::Unmounted } else { Root::Emptied };
        if state.hidden.is_none() {
            let empty = Tree::new(now);
            state.hidden = Some(std::mem::replace(&mut state.tree, empty));
        }
        drop(state);
        self.trace(|| "the root is empty".into());
    }

    /// Takes `empty_root` back. What was made in the empty folder meanwhile is gone.
    pub fn restore_root(&self) {
        let mut state = self.inner.state.lock();
        state.root = Root::Present;
        if let Some(tree) = state.hidden.take() {
            state.tree = tree;
        }
        drop(state);
        self.trace(|| "the root is back".into());
    }

    /// What the second user does between look and swap of the next replacement or removal at the
    /// path.
    pub fn race_at(&self, path: &str, race: impl FnOnce(&User) + Send + 'static) {
        let path = path.as_bytes().to_vec();
        self.inner.state.lock().races.push((path, Box::new(race)));
    }

    /// Where the weaknesses of this kind of server were hit until now.
    pub fn hits(&self) -> Vec<Hit> {
        self.inner.state.lock().hits.clone()
    }

    /// What was changed through connections until now, oldest first.
    pub fn effects(&self) -> Vec<Effect> {
        self.inner.state.lock().effects.clone()
    }

    /// Every file with its mark and its bytes, as a client could see it now.
    pub fn files(&self) -> Vec<(LocPath, Meta, Arc<Vec<u8>>)> {
        let state = self.inner.state.lock();
        let mut found = Vec::new();
        let mut folders = vec![(LocPath::root(), state.tree.root())];
        while let Some((at, folder)) = folders.pop() {
            let Ok(entries) = state.tree.folder(folder) else {
                continue;
            };
            for (name, ino) in entries.values() {
                let Ok(name) = Name::new(name) else { continue };
                let path = at.join(&name);
                match &state.tree.node(*ino).body {
                    tree::Body::Folder(_) => folders.push((path, *ino)),
                    tree::Body::File(content) => {
                        found.push((path, state.tree.meta(*ino, &state.profile), content.clone()));
                    }
                    _ => {}
                }
            }
        }
        found
    }

    pub fn traffic(&self) -> Traffic {
        self.inner.state.lock().traffic
    }

    /// Counts it anew.
    pub fn forget_traffic(&self) {
        self.inner.state.lock().traffic = Traffic::default();
    }

    /// Time as the server keeps it.
    pub fn now(&self) -> Time {
        let now = self.inner.world.now();
        let state = self.inner.state.lock();
        let ahead = state.faults.clock_ahead_ns;
        state.profile.step(Time(now.0.saturating_add(ahead)))
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        let world = &self.inner.world;
        world.trace(|| format!("[{}] {}", self.inner.name, line()));
    }

    /// Tells all who watch that something changed in the folder that holds `path`.
    fn hint(&self, path: &[u8]) {
        let folder = tree::split(path).map_or(Vec::new(), |(folder, _)| folder);
        let Ok(folder) = LocPath::parse(&folder) else {
            return;
        };
        let told: Vec<_> = {
            let mut guard = self.inner.state.lock();
            let state = &mut *guard;
            let lost = state.rng.chance(state.faults.lost_hints);
            let hint = if lost { Hint::Everything } else { Hint::Folder(folder.clone()) };
            let watching = state.watchers.iter().filter(|w| folder.starts_with(&w.folder));
            watching.map(|w| (w.hints.clone(), hint.clone())).collect()
        };
        for (hints, hint) in told {
            // Unbounded, and a receiver that is gone needs no hints.
            let _ = hints.try_send(hint);
        }
    }
}

impl State {
    fn break_all(&mut self) {
        self.epoch += 1;
        self.watchers.clear();
    }
}

#[cfg(test)]
mod tests;
