//! Tells the kernel what to forget.
//!
//! One thread takes the invalidations in order and hands them out in bundles to a few others: the
//! kernel makes a call wait while a request in the same folder, or for the same page, is being
//! served, and that request may itself wait for the network. Nobody who serves a request waits
//! for any of this.
//!
//! Order among invalidations does not matter, only that what stands before a barrier is done when
//! its sender is dropped. The time between two barriers is an [`Epoch`]: each bundle holds its
//! own, and each epoch holds the next one, so one ends when its bundles and all before it have.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use async_channel::{Receiver, Sender};
use fuser::{INodeNo, Notifier};
use futures::executor::block_on;
use futures::future::{Either, select};
use holdfast_engine::fileops::Invalidation;
use holdfast_engine::model::{Name, NodeId};

use crate::workers::Workers;

/// Calls that the kernel may hold up at the same time.
const MOST_THREADS: usize = 16;

/// Invalidations in one bundle.
const BUNDLE: usize = 256;

/// Dropped: the thread ends, once all that had been sent is carried out or under way.
pub(crate) struct Invalidator {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Invalidator {
    /// `over` is closed when the session has ended: from then on there is nobody to tell, and
    /// barriers only fall.
    pub fn start(
        invalidations: Receiver<Invalidation>,
        notifier: Notifier,
        over: Receiver<()>,
    ) -> io::Result<Invalidator> {
        let (stop, stopped) = async_channel::bounded(1);
        let mut teller = Teller {
            kernel: Some(notifier),
            workers: Workers::new("mount-forget", MOST_THREADS),
            epoch: Arc::default(),
            bundle: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("mount-invalidate".into())
            .spawn(move || teller.run(&invalidations, &over, &stopped))?;
        Ok(Invalidator { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Invalidator {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What lies between two barriers.
#[derive(Default)]
struct Epoch {
    barrier: OnceLock<Sender<()>>,
    next: OnceLock<Arc<Epoch>>,
}

struct Teller {
    /// `None` once the session is over: the descriptor must not be kept open by us.
    kernel: Option<Notifier>,
    workers: Workers,
    epoch: Arc<Epoch>,
    bundle: Vec<Forget>,
}

enum Forget {
    Node(NodeId),
    Entry(NodeId, Name),
}

impl Teller {
    fn run(&mut self, invalidations: &Receiver<Invalidation>, over: &Receiver<()>, stopped: &Receiver<()>) {
        loop {
            while let Ok(invalidation) = invalidations.try_recv() {
                self.take(invalidation);
            }
            self.hand_out();
            let over = self.kernel.is_some().then_some(over);
            match next(invalidations, over, stopped) {
                Next::Take(invalidation) => self.take(invalidation),
                Next::Closed => return,
                Next::Ended if stopped.is_closed() => return,
                Next::Ended => self.kernel = None,
            }
        }
    }

    fn take(&mut self, invalidation: Invalidation) {
        match invalidation {
            Invalidation::Node(node) => self.bundle.push(Forget::Node(node)),
            Invalidation::Entry { parent, name } => self.bundle.push(Forget::Entry(parent, name)),
            Invalidation::Barrier(sender) => {
                self.hand_out();
                let next = Arc::<Epoch>::default();
                let _ = self.epoch.barrier.set(sender);
                let _ = self.epoch.next.set(next.clone());
                self.epoch = next;
            }
        }
        if self.bundle.len() >= BUNDLE {
            self.hand_out();
        }
    }

    fn hand_out(&mut self) {
        let bundle = std::mem::take(&mut self.bundle);
        let (Some(kernel), false) = (&self.kernel, bundle.is_empty()) else {
            return;
        };
        let (kernel, epoch) = (kernel.clone(), self.epoch.clone());
        self.workers.run(move || {
            tell(&kernel, &bundle);
            drop(epoch);
        });
    }
}

enum Next {
    Take(Invalidation),
    /// No invalidation will ever come.
    Closed,
    Ended,
}

fn next(invalidations: &Receiver<Invalidation>, over: Option<&Receiver<()>>, stopped: &Receiver<()>) -> Next {
    let end = async {
        if let Some(over) = over {
            select(pin!(over.recv()), pin!(stopped.recv())).await;
        } else {
            let _ = stopped.recv().await;
        }
    };
    let (invalidation, end) = (pin!(invalidations.recv()), pin!(end));
    match block_on(select(invalidation, end)) {
        Either::Left((Ok(invalidation), _)) => Next::Take(invalidation),
        Either::Left((Err(_), _)) => Next::Closed,
        Either::Right(_) => Next::Ended,
    }
}

/// A name the kernel does not know says nothing to it about the folder, whose list of entries it
/// may know all the same: each folder is told once a bundle.
fn tell(kernel: &Notifier, bundle: &[Forget]) {
    let mut nodes = BTreeSet::new();
    for forget in bundle {
        match forget {
            Forget::Node(node) => {
                nodes.insert(*node);
            }
            Forget::Entry(parent, name) => {
                nodes.insert(*parent);
                let name = OsStr::from_bytes(name.as_bytes());
                heed(kernel.inval_entry(INodeNo(parent.0), name));
            }
        }
    }
    for node in nodes {
        // From the start to the end: attributes and all pages.
        heed(kernel.inval_inode(INodeNo(node.0), 0, 0));
    }
}

/// What the kernel does not know it need not forget; fuser takes that for success.
fn heed(told: io::Result<()>) {
    if let Err(error) = told {
        tracing::debug!(%error, "the kernel did not forget");
    }
}
