//! Which records may be sent now, and writing them down as intents.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{ContentId, ItemId, LocationId, Name};
use crate::remote::Capabilities;
use crate::store::Store;
use crate::store::content::{ContentError, Contents};
use crate::store::persist::StoreError;
use crate::store::rows::Item;
use crate::store::tree::{Live, Tree, contents_of_item};
use crate::sync::schedule::{Readiness, Step, circle, readiness};
use crate::sync::worker::HeldBack;

use super::call::{Handed, call};

/// What a look at the log gives.
#[derive(Default)]
pub struct Plan {
    pub ready: Vec<(ItemId, Step)>,
    /// `World::elapsed` at which the next record has settled.
    pub next: Option<Duration>,
    /// Nothing is ready, and these wait for one another.
    pub circle: Option<ItemId>,
    /// Records that wait for bytes to be fetched.
    pub lacking: Vec<(ItemId, ContentId)>,
}

/// Which records may be sent now, at most so many. Those held back are not.
pub fn plan(
    store: &Store,
    location: LocationId,
    now: Duration,
    cut_short: bool,
    most: usize,
    held_back: &BTreeMap<ItemId, HeldBack>,
) -> Plan {
    let mut plan = Plan::default();
    let tree = &*store.read();
    let Some(live) = tree.location(location) else {
        return plan;
    };
    let mut behind = Vec::new();
    for id in live.attention.iter().filter(|id| !held_back.contains_key(id)) {
        let Some(item) = tree.item(*id) else { continue };
        match readiness(tree, item, now, cut_short) {
            Readiness::Send(step) => match lacking(tree, store.contents(), item, step) {
                None => plan.ready.push((*id, step)),
                Some(content) => plan.lacking.push((*id, content)),
            },
            Readiness::At(at) => plan.next = Some(plan.next.map_or(at, |next| next.min(at))),
            Readiness::Behind(_) => behind.push(*id),
            Readiness::No => {}
        }
        if plan.ready.len() >= most {
            return plan;
        }
    }
    let in_flight = live.attention.iter().any(|id| tree.item(*id).is_some_and(|i| i.sending.is_some()));
    let is_looking = held_back.values().any(|why| *why == HeldBack::Look);
    if plan.ready.is_empty() && plan.lacking.is_empty() && !is_looking && !in_flight {
        plan.circle = behind.into_iter().find_map(|id| circle(tree, id, now));
    }
    plan
}

/// The content that must be wholly here before this record may be sent: what is sent, or what the
/// record takes from the server while something here still needs it and has never fetched it.
fn lacking(tree: &Tree, contents: &Contents, item: &Item, step: Step) -> Option<ContentId> {
    let is_absent = |id: &ContentId| contents.get(*id).is_some_and(|c| !c.is_whole());
    if matches!(step, Step::CreateFile | Step::Replace | Step::CreateLink(_)) {
        let node = item.entry.as_ref().and_then(|e| tree.node(e.node));
        if let Some(sent) = node.and_then(|l| l.row.content).filter(is_absent) {
            return Some(sent);
        }
    }
    if !matches!(step, Step::Replace | Step::RemoveFile | Step::RemoveForType) {
        return None;
    }
    let last = item.base.as_deref()?.content.filter(is_absent)?;
    let own = contents_of_item(item).filter(|c| *c == last).count();
    let others = tree.references(last) as usize - own.min(tree.references(last) as usize);
    // A file that was removed and that no program has open is read by nobody any more.
    let is_left = |live: &&Live| live.row.content == Some(last) && live.links.is_empty() && live.opens == 0;
    (others > 0 && others > tree.nodes().filter(is_left).count()).then_some(last)
}

/// Makes the contents of these records final: never written again, on the disk, digest known. Returns
/// those that cannot be: that is their own matter, and holds up no other.
pub fn prepare(store: &Store, ready: &[(ItemId, Step)]) -> Result<Vec<(ItemId, ContentError)>, StoreError> {
    let mut contents = Vec::new();
    {
        let tree = store.read();
        for (id, step) in ready {
            if !matches!(step, Step::CreateFile | Step::Replace | Step::CreateLink(_)) {
                continue;
            }
            let node = tree.item(*id).and_then(|i| i.entry.as_ref()).and_then(|e| tree.node(e.node));
            let content = node.and_then(|l| l.row.content);
            contents.extend(content.and_then(|c| Some((*id, store.contents().get(c)?))));
        }
    }
    let (mut refused, mut sealed) = (Vec::new(), Vec::new());
    for (id, content) in contents {
        match content.seal() {
            Ok(_) => sealed.push(content),
            Err(ContentError::Full) => return Err(StoreError::Full),
            Err(ContentError::Io(error)) => return Err(error.into()),
            Err(error) => refused.push((id, error)),
        }
    }
    store.contents().sync(&sealed)?;
    store.write_in_reserve(|tx| {
        sealed.iter().for_each(|c| tx.touch_content(c.id()));
        Ok::<_, StoreError>(())
    })?;
    Ok(refused)
}

/// Writes the records down as intents, if they are still ready. To be flushed before they are sent.
pub fn hand_over(
    store: &Store,
    ready: &[(ItemId, Step)],
    capabilities: &Capabilities,
    aside: Option<&Name>,
) -> Result<Vec<Handed>, StoreError> {
    store.write_in_reserve(|tx| {
        let now = tx.elapsed();
        let mut handed = Vec::new();
        for (id, step) in ready {
            let Some(item) = tx.tree().item(*id) else { continue };
            if aside.is_none()
                && !matches!(readiness(tx.tree(), item, now, true), Readiness::Send(s) if s == *step)
            {
                continue;
            }
            if lacking(tx.tree(), tx.contents(), item, *step).is_some() {
                continue;
            }
            if let Some((call, intent)) = call(tx, item, *step, capabilities, aside) {
                tx.edit_item(*id, |item| item.sending = Some(Box::new(intent)));
                handed.push(Handed { item: *id, step: *step, call });
            }
        }
        Ok(handed)
    })
}
