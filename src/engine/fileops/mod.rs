//! The operations of a file system on the local tree: what a program does lands here.
//!
//! Each changes tree, content and log in one step and returns when it stands where a kill of the
//! engine does not lose it. Nothing here waits for the network: what is not here is answered with
//! [`OpError::NotHere`], and [`Fileops::provide`] is what fetches it.
//!
//! Checks of permission bits are the kernel's (`default_permissions`); what the kernel leaves to
//! the file system (owner and set-gid inheritance, numbers of links, times) is done here.

mod attrs;
mod bind;
mod errors;
mod files;
mod folders;
mod handles;
mod names;
mod open_files;
mod opening;
mod rename;
mod takeover;
mod types;
mod views;
mod xattrs;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use parking_lot::Mutex;

pub(crate) use attrs::{mark_times, note_change};
pub(crate) use bind::{bind_new, let_go, new_item};
pub(crate) use opening::close_unrecorded;

pub use crate::store::Invalidation;
pub use open_files::{Connection, OpenFiles};
pub use types::{
    Allocate, Attr, Caller, FolderEntry, Need, OpError, OpenMode, Opened, RenameMode, SetAttr, SetTime,
    Statfs, XattrMode,
};

use crate::model::{NodeId, RequestId};
use crate::store::Store;

use handles::Handles;

pub type Op<T> = Result<T, OpError>;

/// Whether what is told of a node stays true until it is invalidated. The views of the three states
/// change without that.
pub fn is_lasting(node: NodeId) -> bool {
    !views::is_view(node)
}

/// Fetches what an operation lacks; the engine's synchronising half.
#[async_trait]
pub trait Provider: Send + Sync {
    async fn provide(&self, caller: Caller, need: &Need) -> Op<()>;

    /// The disk is full: drops what may go and can be had again. Whether anything did.
    fn make_room(&self) -> bool;
}

/// Cheap to clone; used by many threads at once.
#[derive(Clone)]
pub struct Fileops(Arc<Inner>);

struct Inner {
    store: Store,
    handles: Mutex<Handles>,
    /// Requests that an engine before this one carried out and may not have answered.
    done: HashSet<RequestId>,
    /// Owner and group of all nodes; `None`: whoever makes them.
    owner: Option<(u32, u32)>,
    provider: OnceLock<Arc<dyn Provider>>,
}

impl Fileops {
    pub fn new(store: Store, owner: Option<(u32, u32)>, open: OpenFiles) -> Fileops {
        let done = takeover::take_over(&store, &open);
        let handles = Mutex::new(Handles::new(open.table, open.left, open.before));
        Fileops(Arc::new(Inner { store, handles, done, owner, provider: OnceLock::new() }))
    }

    /// Who fetches; given once.
    pub fn set_provider(&self, provider: Arc<dyn Provider>) {
        let _ = self.0.provider.set(provider);
    }

    /// Fetches what an operation lacked, by the policy of its location; after `Ok` the operation
    /// is to be tried again.
    pub async fn provide(&self, caller: Caller, need: &Need) -> Op<()> {
        match self.0.provider.get() {
            Some(provider) => provider.provide(caller, need).await,
            None => Err(OpError::Unreachable),
        }
    }

    /// Does what takes room; once more where the disk was full and something could go for it.
    fn with_room<R>(&self, work: impl Fn() -> Op<R>) -> Op<R> {
        match work() {
            Err(OpError::NoSpace) if self.0.provider.get().is_some_and(|p| p.make_room()) => work(),
            result => result,
        }
    }

    /// What the kernel is to forget from now on. One reader.
    pub fn invalidations(&self) -> async_channel::Receiver<Invalidation> {
        self.0.store.invalidations()
    }

    fn store(&self) -> &Store {
        &self.0.store
    }
}
