//! The walk: listings of the server, compared with the server tree.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::model::{ItemId, Kind, LocPath, Side};
use crate::remote::{Listed, Listing, Remote, RemoteError};
use crate::store::Store;
use crate::store::rows::Item;
use crate::store::tree::Tree;

use super::{Found, Fresh, Inside, Observation, Scope, Stopped};

/// Listings under way at once.
const LISTINGS: usize = 128;
/// Bytes of the largest file that is taken in.
const LARGEST: u64 = 16 << 40;

enum Where {
    Item(ItemId),
    Fresh { path: LocPath },
}

struct Job {
    place: Where,
    path: LocPath,
}

pub(super) async fn walk(
    store: &Store,
    remote: &Arc<dyn Remote>,
    scope: &Scope,
    found: &mut Observation,
) -> Result<(), Stopped> {
    let location = found.location;
    let mut queue: Vec<Job> = Vec::new();
    {
        let tree = store.read();
        let Some(root) = tree.location(location).map(|l| l.row.root) else {
            return Ok(());
        };
        let folders: Vec<ItemId> = match scope {
            Scope::Everything => vec![root],
            Scope::Folders(folders) | Scope::Below(folders) => folders.iter().copied().collect(),
        };
        for folder in folders {
            if let Some(path) = tree.path(folder, Side::Server) {
                queue.push(Job { place: Where::Item(folder), path });
            }
        }
    }
    let deep = !matches!(scope, Scope::Folders(_));
    let mut asked: BTreeSet<ItemId> = match scope {
        Scope::Everything => BTreeSet::new(),
        Scope::Folders(folders) | Scope::Below(folders) => folders.clone(),
    };
    let mut under_way = FuturesUnordered::new();
    let mut walked: HashMap<LocPath, Vec<Listed>> = HashMap::new();
    let mut fresh_tops: Vec<(ItemId, LocPath, Listed)> = Vec::new();
    loop {
        while under_way.len() < LISTINGS
            && let Some(job) = queue.pop()
        {
            let remote = remote.clone();
            under_way.push(async move {
                let listing = remote.list(&job.path).await;
                (job, listing)
            });
        }
        let Some((job, listing)) = under_way.next().await else {
            break;
        };
        let listing = match listing {
            Ok(mut listing) => {
                refuse_giants(&mut listing);
                listing
            }
            Err(error @ RemoteError::Gone { .. }) => return Err(Stopped::Remote(error)),
            // It went while we walked: its own folder's next listing tells.
            Err(RemoteError::NotFound) => {
                if let Where::Item(folder) = job.place {
                    let root = store.read().location(location).map(|l| l.row.root);
                    if root == Some(folder) {
                        return Err(Stopped::Remote(RemoteError::gone("the folder is not there")));
                    }
                    found.lost.insert(folder, job.path.clone());
                    found.unreadable.push((folder, RemoteError::NotFound));
                    // Where nobody walks down to it, the folder above is asked now.
                    let tree = store.read();
                    let above = tree.item(folder).and_then(|i| tree.place(i, Side::Server));
                    if let Some((above, _)) = above.filter(|(above, _)| !deep && asked.insert(*above))
                        && let Some(path) = tree.path(above, Side::Server)
                    {
                        queue.push(Job { place: Where::Item(above), path });
                    }
                }
                continue;
            }
            Err(error) => {
                match job.place {
                    Where::Item(folder) => found.unreadable.push((folder, error)),
                    Where::Fresh { path } => found.unreadable_fresh.push((path, error)),
                }
                continue;
            }
        };
        match job.place {
            Where::Item(folder) => {
                let tree = store.read();
                let pinned = tree.is_pinned(folder);
                found.listed.insert(folder, job.path.clone());
                let fresh = compare(&tree, folder, &listing, found);
                for listed in fresh {
                    let path = job.path.join(&listed.name);
                    if listed.meta.kind == Kind::Folder && pinned {
                        queue.push(Job { place: Where::Fresh { path: path.clone() }, path: path.clone() });
                    }
                    fresh_tops.push((folder, path, listed));
                }
                if deep {
                    for (name, child) in tree.server_children(folder) {
                        if is_walked(&tree, child, pinned) {
                            queue.push(Job { place: Where::Item(child), path: job.path.join(&name) });
                        }
                    }
                }
            }
            Where::Fresh { path } => {
                for listed in &listing.entries {
                    if listed.meta.kind == Kind::Folder {
                        let below = path.join(&listed.name);
                        queue.push(Job { place: Where::Fresh { path: below.clone() }, path: below });
                    }
                }
                walked.insert(path, listing.entries);
            }
        }
    }
    found.fresh = fresh_tops
        .into_iter()
        .map(|(parent, path, listed)| Fresh { parent, inside: gather(&mut walked, &path), listed })
        .collect();
    Ok(())
}

/// What a server says of a size is believed up to the largest file that `ext4` has: what is noted of each
/// block must fit into memory.
fn refuse_giants(listing: &mut Listing) {
    let Listing { entries, refused } = listing;
    entries.retain(|listed| {
        let fits = listed.meta.size <= LARGEST;
        if !fits {
            let sentence =
                format!("the server says that it has {} bytes, too many to keep", listed.meta.size);
            refused.push((listed.name.as_bytes().to_vec(), sentence));
        }
        fits
    });
}

pub(super) fn gather(walked: &mut HashMap<LocPath, Vec<Listed>>, path: &LocPath) -> Option<Vec<Inside>> {
    let entries = walked.remove(path)?;
    Some(
        entries
            .into_iter()
            .map(|listed| {
                let below = path.join(&listed.name);
                Inside { inside: gather(walked, &below), listed }
            })
            .collect(),
    )
}

/// A folder whose names are known here, or that is to be wholly here.
pub(super) fn is_walked(tree: &Tree, id: ItemId, pinned: bool) -> bool {
    let Some(item) = tree.item(id) else { return false };
    if tree.server_state(item).is_none_or(|s| s.meta.kind != Kind::Folder) {
        return false;
    }
    pinned || item.pinned || is_listed(tree, item)
}

/// A folder whose names are known here. Where something else is to take its place, what the server has in
/// it must be known before it can go.
pub(super) fn is_listed(tree: &Tree, item: &Item) -> bool {
    let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
    let is_to_go = |kind| kind != Kind::Folder && item.conflict.is_none();
    node.is_none_or(|live| live.row.listed || is_to_go(live.row.kind))
}

/// Notes differences of one folder; what no item stands for is returned.
pub(super) fn compare(
    tree: &Tree,
    folder: ItemId,
    listing: &Listing,
    found: &mut Observation,
) -> Vec<Listed> {
    let mut fresh = Vec::new();
    let mut seen: HashSet<&[u8]> = HashSet::with_capacity(listing.entries.len());
    for listed in &listing.entries {
        seen.insert(listed.name.as_bytes());
        match tree.server_child(folder, listed.name.as_bytes()).and_then(|id| tree.item(id)) {
            // A file where a folder was, or the reverse: the one went, and another came.
            Some(item) if became_another(tree, item, listed.meta.kind) => {
                found.missing.push(Found { folder, what: item.id });
                fresh.push(listed.clone());
            }
            Some(item) => {
                let known = tree.server_state(item).map(|s| &s.meta);
                if known != Some(&listed.meta) {
                    let what = (item.id, listed.meta.clone());
                    found.changed.push(Found { folder, what });
                }
            }
            None => fresh.push(listed.clone()),
        }
    }
    for (name, sentence) in &listing.refused {
        seen.insert(name);
        found.refused.push((folder, name.clone(), sentence.clone()));
    }
    for (name, id) in tree.server_children(folder) {
        // A temporary place in a cycle of moves is ours and never listed.
        if !seen.contains(name.as_bytes()) && !name.is_temporary() {
            found.missing.push(Found { folder, what: id });
        }
    }
    fresh
}

pub(super) fn became_another(tree: &Tree, item: &Item, kind: Kind) -> bool {
    let known = tree.server_state(item).map(|s| s.meta.kind);
    known.is_some_and(|known| (known == Kind::Folder) != (kind == Kind::Folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Meta, Name, Time, Version};

    #[test]
    fn a_size_that_nobody_has_is_refused_and_told() {
        let listed = |name: &[u8], size| Listed {
            name: Name::new(name).unwrap(),
            meta: Meta {
                kind: Kind::File,
                mode: 0o644,
                size,
                mtime: Time::ZERO,
                link_target: None,
                xattrs: None,
                version: Version::new(b"1"),
                file_id: None,
            },
        };
        let entries = vec![listed(b"large", LARGEST), listed(b"mad", u64::MAX)];
        let mut listing = Listing { entries, refused: Vec::new() };
        refuse_giants(&mut listing);
        assert_eq!(listing.entries.len(), 1);
        let [(name, sentence)] = &listing.refused[..] else { panic!("{:?}", listing.refused) };
        assert!(name == b"mad" && sentence.contains("18446744073709551615 bytes"), "{sentence}");
    }
}
