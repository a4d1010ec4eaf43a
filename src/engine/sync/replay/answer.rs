//! What the server answered, on the trees.

use std::time::Duration;

use crate::model::{ItemId, Meta, Name, Needs, NodeId, ProblemId, State, Version};
use crate::remote::{Capabilities, RemoteError, TEMP_PREFIX};
use crate::store::Tx;
use crate::store::rows::{Aspects, Did, Problem, ServerSide};
use crate::sync::schedule::Step;

/// The server did as it was told: what it has now is `base`.
pub fn succeeded(tx: &mut Tx<'_>, id: ItemId, meta: Option<Meta>, can: &Capabilities) {
    let Some(item) = tx.tree().item(id) else { return };
    let Some(intent) = item.sending.clone() else {
        return;
    };
    let old_place = item.base.as_deref().and_then(|b| Some((b.parent?, b.name.clone())));
    let node_id = item.entry.as_ref().map(|e| e.node);
    tx.note_agreed(id, Did::SENT);
    match intent.result.as_deref() {
        None => tx.edit_item(id, |item| {
            item.base = None;
            item.sending = None;
            item.server = ServerSide::AsBase;
        }),
        Some(sent) => {
            let mut state = sent.clone();
            let told = meta.is_some();
            if let Some(meta) = meta {
                state.meta = Meta { link_target: sent.meta.link_target.clone(), ..meta };
            }
            if !can.modes || !told {
                state.meta.mode = sent.meta.mode;
            }
            if !can.xattrs || state.meta.xattrs.is_none() {
                state.meta.xattrs = sent.meta.xattrs.clone();
            }
            let sets_times = can.set_times && intent.aspects.contains(Aspects::CONTENT);
            adopt_representation(tx, node_id, sent, &state, sets_times.then_some(can.time_step));
            tx.tree_mut().touch(id, state.parent.map(|p| (p, state.name.clone())));
            let times_sent = intent.aspects.contains(Aspects::TIMES);
            let (version, file_id) = (state.meta.version.clone(), state.meta.file_id);
            tx.edit_item(id, |item| {
                item.base = Some(Box::new(state));
                item.sending = None;
                item.server = ServerSide::AsBase;
                if let (Some(pending), true) = (&mut item.pending, times_sent) {
                    pending.aspects -= Aspects::TIMES;
                }
            });
            // A second name changes the mark of the file under its other names too.
            if intent.aspects.contains(Aspects::CREATE)
                && let Some(node) = node_id
            {
                share_version(tx, id, node, &version, file_id);
            }
        }
    }
    tx.tree_mut().touch(id, old_place);
    if intent.aspects.intersects(Aspects::PLACE | Aspects::CREATE | Aspects::REMOVE) {
        tx.tree_mut().note_moved(id);
    }
    if let Some(node) = node_id.and_then(|n| tx.tree_mut().live_mut(n))
        && node.writers == 0
    {
        node.changed = None;
    }
    tx.relog(id);
    // What is still to be sent was changed meanwhile and settles anew.
    if tx.tree().item(id).is_some_and(|i| i.pending.is_some())
        && let Some(node) = node_id
    {
        crate::fileops::note_change(tx, node);
    }
}

/// What the server made of mode, attributes and, where it sets times in such steps, of a new content's
/// time is taken over here, unless they were changed again.
fn adopt_representation(
    tx: &mut Tx<'_>,
    node: Option<NodeId>,
    sent: &State,
    state: &State,
    time_step: Option<Duration>,
) {
    let Some(node) = node else { return };
    let Some(row) = tx.tree().node(node).map(|l| &l.row) else {
        return;
    };
    let mode_differs = state.meta.mode != sent.meta.mode && row.mode == sent.meta.mode;
    let xattrs_differ = match (&state.meta.xattrs, &sent.meta.xattrs) {
        (Some(now), Some(sent)) => now != sent && row.xattrs == *sent,
        _ => false,
    };
    let (sent_time, time) = (sent.meta.mtime, state.meta.mtime);
    let time_differs = time_step.is_some_and(|step| {
        let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
        row.mtime == sent_time && sent_time.0.div_euclid(step) != time.0.div_euclid(step)
    });
    if !mode_differs && !xattrs_differ && !time_differs {
        return;
    }
    let state = state.clone();
    tx.edit_node(node, |row| {
        if time_differs {
            row.mtime = time;
        }
        if mode_differs {
            row.mode = state.meta.mode;
        }
        if xattrs_differ && let Some(xattrs) = state.meta.xattrs {
            row.xattrs = xattrs;
        }
    });
    tx.invalidate_node(node);
}

fn share_version(tx: &mut Tx<'_>, id: ItemId, node: NodeId, version: &Version, file_id: Option<u64>) {
    if file_id.is_none() {
        return;
    }
    let links = tx.tree().node(node).map(|l| l.links.clone()).unwrap_or_default();
    for other in links.into_iter().filter(|other| *other != id) {
        let same =
            tx.tree().item(other).and_then(|i| i.base.as_deref()).is_some_and(|b| b.meta.file_id == file_id);
        if same {
            tx.edit_item(other, |item| {
                if let Some(base) = &mut item.base {
                    base.meta.version = version.clone();
                }
            });
            tx.tree_mut().touch(other, None);
        }
    }
}

/// What is to be done after a refusal.
#[derive(Debug, PartialEq, Eq)]
pub enum After {
    /// Look at this item (or its folder) on the server.
    Look,
    /// The link is gone; the intent stays until somebody has looked.
    Offline,
    /// A problem was noted.
    Problem,
    /// Read what lies under this temporary name beside the item, and keep it.
    Keep(Name),
}

/// The server did not do as it was told.
pub fn failed(tx: &mut Tx<'_>, id: ItemId, step: Step, error: &RemoteError) -> After {
    let (needs, message) = match error {
        RemoteError::Gone { .. } => return After::Offline,
        RemoteError::Displaced { kept, .. } => return After::Keep(kept.clone()),
        RemoteError::Changed { .. } | RemoteError::NotFound | RemoteError::NotEmpty => {
            tx.edit_item(id, |item| item.sending = None);
            tx.relog(id);
            return After::Look;
        }
        RemoteError::Forbidden(_) => (Needs::Retry, error.to_string()),
        RemoteError::NoSpace(_) => (Needs::Space, error.to_string()),
        RemoteError::BadName(_) => (Needs::Name, error.to_string()),
        RemoteError::Io(_) | RemoteError::Unsupported(_) => (Needs::Retry, error.to_string()),
    };
    tracing::info!(item = id.0, ?step, %error, "a change could not be sent");
    tx.edit_item(id, |item| item.sending = None);
    note_problem(tx, id, needs, message);
    tx.relog(id);
    After::Problem
}

pub fn note_problem(tx: &mut Tx<'_>, id: ItemId, needs: Needs, message: String) {
    let problem = match tx.tree().item(id).and_then(|i| i.problem.clone()) {
        Some(old) => Problem { needs, message, ..*old },
        None => Problem { id: ProblemId(tx.new_id()), needs, message },
    };
    tx.happened(id, problem.message.clone());
    tx.edit_item(id, |item| item.problem = Some(Box::new(problem)));
}

/// A name on the server for a move that steps aside.
pub fn aside_name(owner: &str, random: u64) -> Name {
    let mut bytes = TEMP_PREFIX.to_vec();
    bytes.extend_from_slice(owner.as_bytes());
    bytes.extend_from_slice(format!("-{random:016x}").as_bytes());
    Name::new(&bytes).expect("prefix, owner and sixteen digits make a name")
}
