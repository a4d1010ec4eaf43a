//! What lies in which folder under which name, in `base` or on the server.

use std::collections::{BTreeMap, HashMap};

use super::compact::IdMap;
use crate::model::{ItemId, Name};

/// Names of folders. Two items can have one place: while a conflict about a place is open, `base` has
/// an item where a third party has made a new one since.
#[derive(Default)]
pub(super) struct Children {
    first: IdMap<ItemId, BTreeMap<Name, ItemId>>,
    /// The others of a place that more than one item has: few, if any.
    more: HashMap<(ItemId, Name), Vec<ItemId>>,
}

impl Children {
    pub fn insert(&mut self, parent: ItemId, name: &Name, id: ItemId) {
        let names = self.first.entry(parent).or_default();
        match names.get(name) {
            Some(_) => self.more.entry((parent, name.clone())).or_default().push(id),
            None => _ = names.insert(name.clone(), id),
        }
    }

    pub fn remove(&mut self, parent: ItemId, name: &Name, id: ItemId) {
        let Some(names) = self.first.get_mut(&parent) else {
            return;
        };
        let place = (parent, name.clone());
        if let Some(others) = self.more.get_mut(&place) {
            match others.iter().position(|other| *other == id) {
                Some(at) => _ = others.remove(at),
                None => _ = names.insert(name.clone(), others.remove(0)),
            }
            if others.is_empty() {
                self.more.remove(&place);
            }
            return;
        }
        if names.get(name) == Some(&id) {
            names.remove(name);
        }
        if names.is_empty() {
            self.first.remove(&parent);
        }
    }

    /// All that have this place.
    pub fn at<'a>(&'a self, parent: ItemId, name: &'a [u8]) -> impl Iterator<Item = ItemId> + 'a {
        let first = self.first.get(&parent).and_then(|names| names.get_key_value(name));
        let others = match (self.more.is_empty(), first) {
            (false, Some((name, _))) => self.more.get(&(parent, name.clone())),
            _ => None,
        };
        let others = others.into_iter().flatten().copied();
        first.into_iter().map(|(_, id)| *id).chain(others)
    }

    /// All that lie in a folder, by name.
    pub fn of(&self, parent: ItemId) -> impl Iterator<Item = (&Name, ItemId)> {
        let names = self.first.get(&parent).into_iter().flatten();
        names.flat_map(move |(name, id)| {
            let others = match self.more.is_empty() {
                true => None,
                false => self.more.get(&(parent, name.clone())),
            };
            let others = others.into_iter().flatten().copied();
            std::iter::once(*id).chain(others).map(move |id| (name, id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_at_one_place_are_both_there_until_they_go() {
        let mut children = Children::default();
        let (folder, name) = (ItemId(1), Name::new(b"f").expect("a name"));
        children.insert(folder, &name, ItemId(2));
        children.insert(folder, &name, ItemId(3));
        let at = |children: &Children| children.at(folder, b"f").collect::<Vec<_>>();
        assert_eq!(at(&children), [ItemId(2), ItemId(3)]);
        assert_eq!(children.of(folder).count(), 2);
        children.remove(folder, &name, ItemId(2));
        assert_eq!(at(&children), [ItemId(3)]);
        children.remove(folder, &name, ItemId(2));
        children.remove(folder, &name, ItemId(3));
        assert_eq!(at(&children), []);
        assert_eq!(children.of(folder).count(), 0);
    }
}
