//! Random steps, with restarts and crashes, against plain vectors.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::Digest;
use crate::store::rows::ContentRow;

/// What a content must be.
#[derive(Clone)]
struct Model {
    data: Vec<u8>,
    sealed: bool,
    /// By block; `None` where all of it is here.
    present: Option<Vec<bool>>,
    /// A version the server has.
    fetched: bool,
    /// Its file was taken over, in whole or in part.
    taken: bool,
    /// Changed in place since the last commit.
    touched: bool,
}

#[derive(Default, Clone)]
struct Committed {
    rows: Vec<ContentRow>,
    models: BTreeMap<u64, Model>,
}

struct World {
    files: Arc<MemFiles>,
    contents: Contents,
    models: BTreeMap<u64, Model>,
    committed: Committed,
    freed: Vec<Freed>,
    next: u64,
}

type Step = (u8, u64, u64, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..34, any::<u64>(), any::<u64>(), any::<u64>()), 1..60)
}

const SIZES: [usize; 12] = [
    0,
    1,
    5000,
    BLOCK_LEN - 1,
    BLOCK_LEN,
    BLOCK_LEN + 1,
    3 * BLOCK_LEN,
    1 << 20,
    (1 << 20) + 1,
    1_300_000,
    5 * BLOCK_LEN,
    1_700_000,
];

fn size(from: u64) -> usize {
    SIZES[from as usize % SIZES.len()]
}

impl World {
    fn new() -> World {
        let (files, contents) = contents();
        World {
            files,
            contents,
            models: BTreeMap::new(),
            committed: Committed::default(),
            freed: Vec::new(),
            next: 1,
        }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn get(&self, id: u64) -> Arc<Content> {
        self.contents.get(ContentId(id)).unwrap()
    }

    /// One of those for which this holds.
    fn pick(&self, choice: u64, which: impl Fn(&Model) -> bool) -> Option<u64> {
        let ids: Vec<u64> =
            self.models.iter().filter(|(_, model)| !model.taken && which(model)).map(|(id, _)| *id).collect();
        ids.get(choice as usize % ids.len().max(1)).copied()
    }

    fn is_under(&self, id: u64) -> bool {
        self.models.keys().any(|other| self.get(*other).over() == Some(ContentId(id)))
    }

    fn step(&mut self, (op, a, b, c): Step) {
        match op {
            0 | 1 => self.create(b, c),
            2 | 3 => self.expect(b, c),
            4..=8 => self.write(a, b, c),
            9 | 10 => self.truncate(a, b),
            11 | 12 => self.punch(a, b, c),
            13 => self.allocate(a, b, c),
            14..=17 => self.derive(a),
            18 | 19 => self.seal(a),
            20..=23 => self.fill(a, b, c),
            24 => self.evict(a),
            25 => self.discard(a),
            26 | 27 => self.flatten(a, b),
            28 | 29 => self.commit(&[], None),
            30 => self.restart(),
            31 | 32 => self.crash(b),
            _ => self.check_all(),
        }
    }

    fn create(&mut self, b: u64, c: u64) {
        if self.models.len() >= 8 {
            return;
        }
        let id = self.id();
        let data = bytes(c, size(b));
        let content = self.contents.create(ContentId(id), id).unwrap();
        content.write_at(0, &data).unwrap();
        let model = Model { data, sealed: false, present: None, fetched: false, taken: false, touched: true };
        self.models.insert(id, model);
    }

    fn expect(&mut self, b: u64, c: u64) {
        if self.models.len() >= 8 {
            return;
        }
        let id = self.id();
        let mut data = bytes(c, size(b));
        if c.is_multiple_of(3) && data.len() > BLOCK_LEN {
            data[BLOCK_LEN / 2..].fill(0);
        }
        self.contents.expect(ContentId(id), id, data.len() as u64);
        let present = (!data.is_empty()).then(|| vec![false; data.len().div_ceil(BLOCK_LEN)]);
        let model = Model { data, sealed: true, present, fetched: true, taken: false, touched: false };
        self.models.insert(id, model);
    }

    fn mutable(&mut self, a: u64) -> Option<(u64, Arc<Content>)> {
        let id = self.pick(a, |model| !model.sealed)?;
        self.models.get_mut(&id).unwrap().touched = true;
        Some((id, self.get(id)))
    }

    /// `change` tells whether the row changed, which must be seen in the row.
    fn change(&mut self, id: u64, change: impl FnOnce(&Content) -> bool) {
        let content = self.get(id);
        let before = content.row();
        let said = change(&content);
        assert_eq!(before != content.row(), said, "row changed");
        self.check(id);
    }

    fn write(&mut self, a: u64, b: u64, c: u64) {
        let Some((id, _)) = self.mutable(a) else { return };
        let len = [1, 10, 4096, 70_000, BLOCK_LEN][c as usize % 5];
        let model = self.models.get_mut(&id).unwrap();
        let at = b as usize % (model.data.len() + if c.is_multiple_of(7) { 50_000 } else { 1 });
        let data = bytes(b, len);
        model.data.resize(model.data.len().max(at + len), 0);
        model.data[at..at + len].copy_from_slice(&data);
        self.change(id, |content| content.write_at(at as u64, &data).unwrap());
    }

    fn truncate(&mut self, a: u64, b: u64) {
        let Some((id, _)) = self.mutable(a) else { return };
        let model = self.models.get_mut(&id).unwrap();
        let size = if b.is_multiple_of(3) { size(b) } else { b as usize % (model.data.len() + 1000) };
        model.data.resize(size, 0);
        self.change(id, |content| content.truncate(size as u64).unwrap());
    }

    fn punch(&mut self, a: u64, b: u64, c: u64) {
        let Some((id, _)) = self.mutable(a) else { return };
        let model = self.models.get_mut(&id).unwrap();
        let len = model.data.len();
        let start = b as usize % (len + 1);
        let end = start + c as usize % 400_000;
        model.data[start..end.min(len)].fill(0);
        self.change(id, |content| content.punch(start as u64..end as u64).unwrap());
    }

    fn allocate(&mut self, a: u64, b: u64, c: u64) {
        let Some((id, _)) = self.mutable(a) else { return };
        let model = self.models.get_mut(&id).unwrap();
        let start = b as usize % (model.data.len() + 1);
        let end = start + 1 + c as usize % 100_000;
        let keep = c.is_multiple_of(2);
        if !keep {
            model.data.resize(model.data.len().max(end), 0);
        }
        self.change(id, |content| content.allocate(start as u64..end as u64, keep).unwrap());
    }

    fn derive(&mut self, a: u64) {
        let Some(of) = self.pick(a, |_| true) else { return };
        if self.models.len() >= 8 {
            return;
        }
        let id = self.id();
        let result = self.contents.derive(&self.get(of), ContentId(id), id);
        let model = self.models.get_mut(&of).unwrap();
        if model.present.is_some() {
            assert!(matches!(result, Err(ContentError::NotHere { .. })));
            return;
        }
        result.unwrap();
        model.sealed = true;
        let data = model.data.clone();
        let model = Model { data, sealed: false, present: None, fetched: false, taken: false, touched: true };
        self.models.insert(id, model);
        self.check(of);
        self.check(id);
    }

    fn seal(&mut self, a: u64) {
        let Some(id) = self.pick(a, |model| model.present.is_none()) else {
            return;
        };
        let model = self.models.get_mut(&id).unwrap();
        model.sealed = true;
        assert_eq!(self.contents.get(ContentId(id)).unwrap().seal().unwrap(), Digest::of(&model.data));
        self.check(id);
    }

    fn fill(&mut self, a: u64, b: u64, c: u64) {
        let Some(id) = self.pick(a, |model| model.present.is_some()) else {
            return;
        };
        let content = self.get(id);
        let model = self.models.get_mut(&id).unwrap();
        let present = model.present.as_mut().unwrap();
        let first = b as usize % present.len();
        let end = (first * BLOCK_LEN + 1 + c as usize % (4 * BLOCK_LEN)).min(model.data.len());
        let end = if c.is_multiple_of(3) { model.data.len() } else { end };
        let filled = content.fill(first as u64 * BLOCK, &model.data[first * BLOCK_LEN..end]).unwrap();
        let mut new = 0;
        for (block, here) in present.iter_mut().enumerate().skip(first) {
            let bytes = block * BLOCK_LEN..((block + 1) * BLOCK_LEN).min(model.data.len());
            if bytes.end <= end && !*here {
                *here = true;
                new += bytes.len() as u64;
            }
        }
        let done = present.iter().all(|here| *here);
        assert_eq!(filled, Filled { new_bytes: new, completed: done });
        if done {
            model.present = None;
        }
        self.check(id);
    }

    fn evict(&mut self, a: u64) {
        let Some(id) = self.pick(a, |model| model.sealed && !model.data.is_empty()) else {
            return;
        };
        if self.is_under(id) {
            return;
        }
        let file = self.id();
        self.freed.push(self.get(id).evict(file).unwrap());
        let model = self.models.get_mut(&id).unwrap();
        model.present = Some(vec![false; model.data.len().div_ceil(BLOCK_LEN)]);
        model.fetched = true;
        self.check(id);
    }

    fn discard(&mut self, a: u64) {
        let Some(id) = self.pick(a, |_| true).filter(|id| !self.is_under(*id)) else {
            return;
        };
        self.freed.push(self.contents.discard(ContentId(id)).unwrap());
        self.models.remove(&id);
    }

    fn flatten(&mut self, a: u64, b: u64) {
        let Some(id) = self.pick(a, |model| model.sealed) else {
            return;
        };
        // Nothing refers to the content under it, in what is committed neither.
        self.commit(&[], None);
        let Some(flattened) = self.contents.flatten(ContentId(id)).unwrap() else {
            return;
        };
        self.check(id);
        let under = flattened.gone.0;
        self.models.get_mut(&under).unwrap().taken = true;
        self.committed.models.get_mut(&under).unwrap().taken = true;
        if b.is_multiple_of(3) {
            return;
        }
        self.commit(&[under], Some(flattened.row.clone()));
        if b.is_multiple_of(5) {
            self.reload();
        } else {
            self.freed.push(self.contents.finish(flattened).unwrap().freed);
            self.models.remove(&under);
        }
        self.check(id);
    }

    /// Syncs everything and keeps the rows; then what was freed may go.
    fn commit(&mut self, without: &[u64], row: Option<ContentRow>) {
        self.contents.sync(&self.contents.all()).unwrap();
        self.models.values_mut().for_each(|model| model.touched = false);
        self.committed.models = self.models.clone();
        self.committed.models.retain(|id, _| !without.contains(id));
        self.committed.rows = self.committed.models.keys().map(|id| self.get(*id).row()).collect();
        if let Some(row) = row {
            let old = self.committed.rows.iter_mut().find(|old| old.id == row.id).unwrap();
            *old = row;
        }
        for freed in self.freed.drain(..) {
            self.contents.free(freed).unwrap();
        }
    }

    /// The process dies: every row is in the journal.
    fn restart(&mut self) {
        let rows = self.models.keys().map(|id| self.get(*id).row()).collect();
        self.contents = Contents::new(self.files.clone(), rows);
        self.check_all();
    }

    /// The machine dies.
    fn crash(&mut self, b: u64) {
        let mut random = b | 1;
        let partly = b.is_multiple_of(2);
        self.files.crash_keeping(|_, _| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            partly && random.is_multiple_of(3)
        });
        // Had it kept nothing, even what was changed in place would be as it was.
        for (id, model) in &mut self.committed.models {
            model.touched &= partly;
            if partly && !model.sealed && self.models.get(id).is_none_or(|now| now.touched) {
                model.touched = true;
            }
        }
        self.reload();
    }

    fn reload(&mut self) {
        self.contents = Contents::new(self.files.clone(), self.committed.rows.clone());
        self.models = self.committed.models.clone();
        self.freed.clear();
        for orphan in self.contents.orphans().unwrap() {
            self.contents.free(orphan).unwrap();
        }
        // What is not synced when the machine dies may be there or not.
        let ids: Vec<u64> = self.models.keys().copied().collect();
        for id in ids {
            let content = self.get(id);
            let model = self.models.get_mut(&id).unwrap();
            if std::mem::take(&mut model.touched) {
                model.data = read_all(&content).unwrap();
            } else if model.present.is_some() {
                content.verify().unwrap();
                let missing = content.missing(0..u64::MAX);
                let is_here = |block: u64| !missing.iter().any(|range| range.contains(&(block * BLOCK)));
                let count = model.data.len().div_ceil(BLOCK_LEN) as u64;
                model.present = Some((0..count).map(is_here).collect());
            }
        }
        self.check_all();
        self.commit(&[], None);
    }

    fn check_all(&self) {
        self.models.keys().for_each(|id| self.check(*id));
    }

    fn check(&self, id: u64) {
        let (content, model) = (self.get(id), &self.models[&id]);
        if model.taken {
            return;
        }
        let row = content.row();
        assert_eq!(row.size, model.data.len() as u64);
        assert_eq!((row.sealed, row.whole), (model.sealed, model.present.is_none()));
        if row.sealed && row.whole {
            assert_eq!(row.digest, Some(Digest::of(&model.data)));
        }
        match &model.present {
            None => {
                assert!(read_all(&content).unwrap() == model.data, "content {id}");
                self.check_holes(&content, model);
                self.check_changed(&content, model);
            }
            Some(present) => {
                for (block, here) in present.iter().enumerate() {
                    let expected =
                        &model.data[block * BLOCK_LEN..((block + 1) * BLOCK_LEN).min(model.data.len())];
                    let mut buf = vec![0; expected.len()];
                    match content.read_at(block as u64 * BLOCK, &mut buf) {
                        Ok(_) => assert!(*here && buf == expected, "content {id}, block {block}"),
                        Err(ContentError::NotHere { .. }) => assert!(!here, "content {id}, block {block}"),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    fn check_holes(&self, content: &Content, model: &Model) {
        let ranges = RangeSet::from_ranges(content.data_ranges().unwrap());
        for (range, is_data) in ranges.pieces(0..model.data.len() as u64) {
            let bytes = &model.data[range.start as usize..range.end as usize];
            assert!(is_data || bytes == vec![0; bytes.len()], "a hole holds data");
        }
    }

    fn check_changed(&self, content: &Content, model: &Model) {
        for (earlier, before) in &self.models {
            let Some(changed) = content.changed_since(ContentId(*earlier)) else {
                continue;
            };
            let common = model.data.len().min(before.data.len());
            for (range, is_changed) in RangeSet::from_ranges(changed).pieces(0..common as u64) {
                let range = range.start as usize..range.end as usize;
                assert!(is_changed || model.data[range.clone()] == before.data[range], "an unseen change");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn contents_behave_as_vectors(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            let all: u64 = world.contents.all().iter().map(|content| content.own_bytes()).sum();
            assert_eq!(world.contents.bytes_in_all(), all, "what counts as being here is here");
        }
        world.check_all();
        world.restart();
        world.commit(&[], None);
        world.files.crash();
        world.reload();
        for (id, model) in &world.models {
            if !model.taken {
                world.get(*id).verify().unwrap();
            }
        }
    }
}
