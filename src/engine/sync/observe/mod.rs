//! Learning what changed on the server: folders are listed and compared with the server tree.
//!
//! A walk gathers differences without changing anything; when it is complete, what is missing in one
//! place and new in another is recognised as moved, the brake looks at what is missing, and only
//! then the server side of the items is noted and settled. What our own replay changed after the
//! walk began is left to the next one: a listing may be older than it.

mod apply;
mod brake;
mod look;
mod note;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{ItemId, LocPath, LocationId, Meta};
use crate::remote::{Listed, Remote, RemoteError};
use crate::store::Store;

use walk::walk;

pub use look::Looked;
pub use note::expect_content;

/// Which folders a round looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All that are known here, and all in pinned ones.
    Everything,
    /// These, not below.
    Folders(BTreeSet<ItemId>),
    /// These and what lies in them.
    Below(BTreeSet<ItemId>),
}

/// What a round found and could not have.
pub struct Observation {
    moment: Moment,
    location: LocationId,
    since: u64,
    /// Only some folders: what is missing in one may be in another.
    partial: bool,
    /// Items whose server side differs from what was known.
    changed: Vec<Found<(ItemId, Meta)>>,
    missing: Vec<Found<ItemId>>,
    fresh: Vec<Fresh>,
    /// Folders whose names are now known, and the path of each while it was listed.
    listed: BTreeMap<ItemId, LocPath>,
    /// Folders that were not found, and the path of each.
    lost: BTreeMap<ItemId, LocPath>,
    pub refused: Vec<(ItemId, Vec<u8>, String)>,
    /// Folders that could not be listed. What is in them is not missing.
    pub unreadable: Vec<(ItemId, RemoteError)>,
    /// The same of folders that are not known yet.
    unreadable_fresh: Vec<(LocPath, RemoteError)>,
}

/// From here on it was listed; what became true since is kept in mind until this goes.
struct Moment {
    store: Store,
    location: LocationId,
    since: u64,
}

impl Moment {
    fn begin(store: &Store, location: LocationId) -> Moment {
        Moment {
            store: store.clone(),
            location,
            since: store.with_live(|tree| tree.begin_observation(location)),
        }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        self.store.with_live(|tree| tree.end_observation(self.location, self.since));
    }
}

/// Found in the listing of this folder.
#[derive(Debug)]
struct Found<T> {
    folder: ItemId,
    what: T,
}

/// An entry of the server that no item stands for yet, with all that lies in it.
#[derive(Debug)]
struct Fresh {
    parent: ItemId,
    listed: Listed,
    /// Of a folder that was walked.
    inside: Option<Vec<Inside>>,
}

#[derive(Debug)]
struct Inside {
    listed: Listed,
    inside: Option<Vec<Inside>>,
}

/// Why a round did not come to its end.
#[derive(Debug)]
pub enum Stopped {
    Remote(RemoteError),
}

/// Lists the folders in scope and compares.
pub async fn observe(
    store: &Store,
    remote: &Arc<dyn Remote>,
    location: LocationId,
    scope: &Scope,
) -> Result<Observation, Stopped> {
    let moment = Moment::begin(store, location);
    let mut found = Observation {
        since: moment.since,
        moment,
        location,
        partial: *scope != Scope::Everything,
        changed: Vec::new(),
        missing: Vec::new(),
        fresh: Vec::new(),
        listed: BTreeMap::new(),
        lost: BTreeMap::new(),
        refused: Vec::new(),
        unreadable: Vec::new(),
        unreadable_fresh: Vec::new(),
    };
    walk(store, remote, scope, &mut found).await?;
    Ok(found)
}

impl Fresh {
    fn file_ids(&self) -> Vec<u64> {
        let mut files: Vec<u64> = self.listed.meta.file_id.into_iter().collect();
        let mut stack: Vec<&Inside> = self.inside.iter().flatten().collect();
        while let Some(inside) = stack.pop() {
            files.extend(inside.listed.meta.file_id);
            stack.extend(inside.inside.iter().flatten());
        }
        files
    }
}
