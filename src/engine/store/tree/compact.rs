//! Small shapes for what there may be a million of.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Deref;

use crate::model::{ItemId, Name};

/// A map by numbers that we hand out ourselves: nobody can choose them so that they collide.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    /// By the golden ratio; the upper half, which a map looks at too, goes into the lower.
    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

/// The items whose entry leads to a node: one, but for hard links.
#[derive(Clone, Default, Debug)]
pub enum Links {
    #[default]
    None,
    One(ItemId),
    Many(Box<Vec<ItemId>>),
}

impl Links {
    pub fn push(&mut self, id: ItemId) {
        match self {
            Links::None => *self = Links::One(id),
            Links::One(first) => *self = Links::Many(Box::new(vec![*first, id])),
            Links::Many(all) => all.push(id),
        }
    }

    pub fn remove(&mut self, id: ItemId) {
        match self {
            Links::None => {}
            Links::One(only) if *only != id => {}
            Links::One(_) => *self = Links::None,
            Links::Many(all) => all.retain(|other| *other != id),
        }
    }
}

impl Deref for Links {
    type Target = [ItemId];
    fn deref(&self) -> &[ItemId] {
        match self {
            Links::None => &[],
            Links::One(id) => std::slice::from_ref(id),
            Links::Many(all) => all,
        }
    }
}

impl IntoIterator for Links {
    type Item = ItemId;
    type IntoIter = std::iter::Chain<std::option::IntoIter<ItemId>, std::vec::IntoIter<ItemId>>;
    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self {
            Links::None => (None, Vec::new()),
            Links::One(id) => (Some(id), Vec::new()),
            Links::Many(all) => (None, *all),
        };
        one.into_iter().chain(many)
    }
}

impl<'a> IntoIterator for &'a Links {
    type Item = &'a ItemId;
    type IntoIter = std::slice::Iter<'a, ItemId>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries of a folder; nothing where there are none.
#[allow(clippy::box_collection, reason = "one pointer instead of three in every file that has none")]
#[derive(Default)]
pub struct Entries(Option<Box<BTreeMap<Name, ItemId>>>);

impl Entries {
    pub fn insert(&mut self, name: Name, id: ItemId) {
        self.0.get_or_insert_default().insert(name, id);
    }

    pub fn remove(&mut self, name: &Name) {
        if let Some(entries) = &mut self.0 {
            entries.remove(name);
            if entries.is_empty() {
                self.0 = None;
            }
        }
    }
}

impl Deref for Entries {
    type Target = BTreeMap<Name, ItemId>;
    fn deref(&self) -> &BTreeMap<Name, ItemId> {
        static NONE: BTreeMap<Name, ItemId> = BTreeMap::new();
        self.0.as_deref().unwrap_or(&NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_and_go() {
        let mut links = Links::default();
        for id in 1..=3 {
            links.push(ItemId(id));
        }
        links.remove(ItemId(1));
        links.remove(ItemId(7));
        assert_eq!(*links, [ItemId(2), ItemId(3)]);
        links.remove(ItemId(2));
        links.remove(ItemId(3));
        assert!(links.is_empty());
        links.push(ItemId(4));
        assert_eq!(*links, [ItemId(4)]);
    }

    /// There is one of each for every file that is pinned: more room for one is a decision.
    #[test]
    fn rows_stay_small() {
        use crate::model::State;
        use crate::store::rows::Item;
        let sizes = [size_of::<super::super::Live>(), size_of::<Item>(), size_of::<State>()];
        assert!(sizes <= [184, 136, 136], "{sizes:?}");
    }
}
