//! Rows as they were written by earlier versions, and what they are now. Never changed.

use serde::{Deserialize, Serialize};

use crate::model::{ContentId, HistoryId, HistoryKind, ItemId, LocationId, NodeId, StashId, Time};

use super::rows::{
    Before, BeforeId, ContentRow, Counted, Delta, Did, Happened, History, Item, Location, Node, Stashed,
};

/// Until the history knew reconnections: what was before an entry stood in its row.
#[derive(Serialize, Deserialize)]
pub struct History1 {
    pub id: HistoryId,
    pub at: Time,
    pub what: String,
    pub undone: bool,
    pub before: Vec<Before1>,
}

#[derive(Serialize, Deserialize)]
pub struct Before1 {
    pub item: ItemId,
    pub row: Option<Box<Item>>,
    pub node: Option<Box<Node>>,
    pub after: Option<Box<Item>>,
}

/// A journal of format 1 has these.
#[derive(Serialize, Deserialize)]
pub enum Delta1 {
    Item(ItemId, Option<Box<Item>>),
    Node(NodeId, Option<Box<Node>>),
    Content(ContentId, Option<Box<ContentRow>>),
    Location(LocationId, Option<Box<Location>>),
    Stash(StashId, Option<Box<Stashed>>),
    History(HistoryId, Option<Box<History1>>),
    Happened(Box<Happened>),
    NextId(u64),
}

impl History1 {
    pub fn into_now(self) -> (History, Vec<(BeforeId, Before)>) {
        let locations = self.before.iter().filter_map(|before| before.row.as_ref()).map(|row| row.location);
        let mut locations: Vec<LocationId> = locations.collect();
        locations.dedup();
        let befores = self.before.into_iter().enumerate().map(|(number, before)| {
            let Before1 { item, row, node, after } = before;
            let id = BeforeId { history: self.id, number: number as u64 };
            (id, Before { item, row, node, after, did: Did::empty() })
        });
        let befores: Vec<_> = befores.collect();
        let is_restored = self.what.ends_with("put back from the stash");
        let history = History {
            id: self.id,
            at: self.at,
            what: self.what,
            undone: self.undone,
            kind: if is_restored { HistoryKind::Restored } else { HistoryKind::Decision },
            location: locations.first().copied().filter(|_| locations.len() == 1),
            items: befores.len() as u64,
            counted: Counted::default(),
            released: false,
            left_out: 0,
        };
        (history, befores)
    }
}

impl Delta1 {
    pub fn into_now(self) -> Vec<Delta> {
        vec![match self {
            Delta1::Item(id, row) => Delta::Item(id, row),
            Delta1::Node(id, row) => Delta::Node(id, row),
            Delta1::Content(id, row) => Delta::Content(id, row),
            Delta1::Location(id, row) => Delta::Location(id, row),
            Delta1::Stash(id, row) => Delta::Stash(id, row),
            Delta1::History(id, None) => Delta::History(id, None),
            Delta1::History(id, Some(row)) => {
                let (history, befores) = row.into_now();
                let mut deltas = vec![Delta::History(id, Some(Box::new(history)))];
                deltas.extend(befores.into_iter().map(|(id, row)| Delta::Before(id, Some(Box::new(row)))));
                return deltas;
            }
            Delta1::Happened(row) => Delta::Happened(row),
            Delta1::NextId(next) => Delta::NextId(next),
        }]
    }
}
