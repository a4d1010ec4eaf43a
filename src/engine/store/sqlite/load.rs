//! Reads all rows at start-up.
//!
//! Items, base, server and intents are read side by side in the order of their key, which takes a
//! third of the time that looking each up would.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, Statement};

use super::columns::{Columns, Decode, OnBad, each};
use super::schema::{self, Table};
use super::{store_error, words};
use crate::model::{
    ConflictId, ConflictKind, ContentId, HistoryId, HistoryKind, ItemId, LocationId, Meta, Name, NodeId,
    Side, StashId, State, Version, Xattrs,
};
use crate::store::persist::StoreError;
use crate::store::rows::{
    Aspects, Before, BeforeId, Conflict, ContentRow, Counted, Entry, Happened, History, Intent, Item,
    Location, Node, Over, Pending, Rows, ServerSide, Stashed,
};

type Result<T> = std::result::Result<T, StoreError>;

pub fn load(connection: &Connection) -> Result<Rows> {
    // One moment for all tables.
    let transaction = connection.unchecked_transaction().map_err(store_error)?;
    let mut rows = Rows::default();
    let bad: OnBad<'_> = &mut Err;
    items(&transaction, bad, |item| rows.items.push(item))?;
    each(&transaction, &schema::NODE, node, bad, |node| rows.nodes.push(node))?;
    each(&transaction, &schema::CONTENT, content, bad, |content| rows.contents.push(content))?;
    each(&transaction, &schema::STASH, stashed, bad, |stashed| rows.stash.push(stashed))?;
    each(&transaction, &schema::HISTORY, history, bad, |history| rows.history.push(history))?;
    each(&transaction, &schema::BEFORE, before, bad, |before| rows.befores.push(before))?;
    locations(&transaction, bad, |location| rows.locations.push(location))?;
    rows.next_id = meta(&transaction, "next_id")?;
    Ok(rows)
}

pub fn meta(connection: &Connection, key: &str) -> Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT value FROM meta WHERE key = ?").map_err(store_error)?;
    match statement.query_row([key], |row| row.get::<_, i64>(0)) {
        Ok(value) => Ok(value as u64),
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            Err(StoreError::Damaged(format!("table meta has no row {key}")))
        }
        Err(error) => Err(store_error(error)),
    }
}

pub fn locations(connection: &Connection, on_bad: OnBad<'_>, mut row: impl FnMut(Location)) -> Result<()> {
    let mut settings: HashMap<u64, Vec<(String, String)>> = HashMap::new();
    let mut statement = connection
        .prepare(&schema::SETTING.select_sql("ORDER BY location, position"))
        .map_err(store_error)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    while let Some(next) = rows.next().map_err(store_error)? {
        match Columns::new(next, schema::SETTING.name).and_then(|mut columns| setting(&mut columns)) {
            Ok((location, pair)) => settings.entry(location).or_default().push(pair),
            Err(error) => on_bad(error)?,
        }
    }
    each(connection, &schema::LOCATION, location, on_bad, |mut location| {
        location.settings = settings.remove(&location.id.0).unwrap_or_default();
        row(location);
    })
}

/// Items with what stands in the other tables of them.
pub fn items(connection: &Connection, on_bad: OnBad<'_>, mut row: impl FnMut(Item)) -> Result<()> {
    let prepare = |table: &Table| connection.prepare(&table.all_sql()).map_err(store_error);
    let (mut base, mut server, mut intents) =
        (prepare(&schema::BASE)?, prepare(&schema::SERVER)?, prepare(&schema::INTENT)?);
    let mut base = Beside::new(&mut base, &schema::BASE, state)?;
    let mut server = Beside::new(&mut server, &schema::SERVER, state)?;
    let mut intents = Beside::new(&mut intents, &schema::INTENT, intent)?;

    let mut statement = prepare(&schema::ITEM)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    while let Some(next) = rows.next().map_err(store_error)? {
        let mut columns = Columns::new(next, schema::ITEM.name)?;
        let key = columns.key() as i64;
        let (base, server, sending) =
            (base.take(key, on_bad)?, server.take(key, on_bad)?, intents.take(key, on_bad)?);
        match item(&mut columns, base, server, sending) {
            Ok(item) => row(item),
            Err(error) => on_bad(error)?,
        }
    }
    base.end(on_bad)?;
    server.end(on_bad)?;
    intents.end(on_bad)
}

/// A table that has a row for some items, read along with them.
struct Beside<'s, T> {
    rows: rusqlite::Rows<'s>,
    table: &'static Table,
    decode: Decode<T>,
    /// Read and not taken yet.
    head: Option<(i64, Result<T>)>,
}

impl<'s, T> Beside<'s, T> {
    fn new(statement: &'s mut Statement<'_>, table: &'static Table, decode: Decode<T>) -> Result<Self> {
        let rows = statement.query([]).map_err(store_error)?;
        let mut beside = Beside { rows, table, decode, head: None };
        beside.advance()?;
        Ok(beside)
    }

    fn advance(&mut self) -> Result<Option<(i64, Result<T>)>> {
        let next = match self.rows.next().map_err(store_error)? {
            Some(row) => {
                let mut columns = Columns::new(row, self.table.name)?;
                let key = columns.key() as i64;
                Some((key, (self.decode)(&mut columns)))
            }
            None => None,
        };
        Ok(std::mem::replace(&mut self.head, next))
    }

    /// The row of an item, given that items come in order.
    fn take(&mut self, key: i64, on_bad: OnBad<'_>) -> Result<Option<T>> {
        while let Some((at, _)) = &self.head
            && *at <= key
        {
            let (at, row) = self.advance()?.expect("the head was there");
            match row {
                Err(error) => on_bad(error)?,
                Ok(row) if at == key => return Ok(Some(row)),
                Ok(_) => on_bad(self.orphan(at))?,
            }
        }
        Ok(None)
    }

    fn end(&mut self, on_bad: OnBad<'_>) -> Result<()> {
        while let Some((at, _)) = self.advance()? {
            on_bad(self.orphan(at))?;
        }
        Ok(())
    }

    fn orphan(&self, key: i64) -> StoreError {
        StoreError::Damaged(format!(
            "table {} has a row of item {}, which does not exist",
            self.table.name, key as u64
        ))
    }
}

fn item(
    c: &mut Columns<'_>,
    mut base: Option<State>,
    mut server: Option<State>,
    sending: Option<Intent>,
) -> Result<Item> {
    let id = ItemId(c.key());
    let location = LocationId(c.number()?);
    let entry = match (c.opt_number()?, c.opt_name()?, c.opt_number()?) {
        (Some(parent), Some(name), Some(node)) => {
            Some(Entry { parent: NodeId(parent), name, node: NodeId(node) })
        }
        (None, None, None) => None,
        _ => return Err(c.bad("half an entry")),
    };
    // The three names mostly are one, and there may be a million.
    let shared = entry.as_ref().map(|entry| &entry.name);
    share_name(&mut base, shared);
    share_name(&mut server, shared);
    let server = match (c.text()?, server) {
        (words::AS_BASE, None) => ServerSide::AsBase,
        (words::GONE, None) => ServerSide::Gone,
        (words::AT, Some(state)) => ServerSide::At(Box::new(state)),
        (word, state) => {
            let there = if state.is_some() { "a" } else { "no" };
            return Err(c.bad(format_args!("{word:?} with {there} row in table server")));
        }
    };
    Ok(Item {
        id,
        location,
        entry,
        base: base.map(Box::new),
        server,
        pending: pending(c)?,
        sending: sending.map(Box::new),
        conflict: conflict(c)?.map(Box::new),
        problem: c.opt_problem()?.map(Box::new),
        pinned: c.flag()?,
        local_only: c.flag()?,
    })
}

fn share_name(state: &mut Option<State>, name: Option<&Name>) {
    if let (Some(state), Some(name)) = (state, name)
        && state.name == *name
    {
        state.name = name.clone();
    }
}

fn aspects(c: &Columns<'_>, bits: i64) -> Result<Aspects> {
    u16::try_from(bits).ok().and_then(Aspects::from_bits).ok_or_else(|| c.bad("aspects that do not exist"))
}

fn pending(c: &mut Columns<'_>) -> Result<Option<Pending>> {
    let Some(bits) = c.opt_signed()? else {
        c.skip(2);
        return Ok(None);
    };
    Ok(Some(Pending { aspects: aspects(c, bits)?, first_at: c.time()?, last_at: c.time()? }))
}

fn conflict(c: &mut Columns<'_>) -> Result<Option<Conflict>> {
    let Some(id) = c.opt_number()? else {
        c.skip(2);
        return Ok(None);
    };
    Ok(Some(Conflict { id: ConflictId(id), kind: c.word(ConflictKind::from_word)?, since: c.time()? }))
}

pub fn state(c: &mut Columns<'_>) -> Result<State> {
    Ok(State {
        parent: c.opt_number()?.map(ItemId),
        name: c.name()?,
        meta: Meta {
            kind: c.kind()?,
            mode: c.small()?,
            size: c.number()?,
            mtime: c.time()?,
            link_target: c.opt_shared()?,
            xattrs: c.opt_postcard::<Xattrs>()?.map(share_empty),
            version: Version::new(c.bytes()?),
            file_id: c.opt_number()?,
        },
        content: c.opt_number()?.map(ContentId),
    })
}

fn share_empty(xattrs: Xattrs) -> Xattrs {
    static EMPTY: LazyLock<Xattrs> = LazyLock::new(Arc::default);
    if xattrs.is_empty() { EMPTY.clone() } else { xattrs }
}

pub fn intent(c: &mut Columns<'_>) -> Result<Intent> {
    let bits = c.signed()?;
    let aspects = aspects(c, bits)?;
    let digest = c.opt_digest()?;
    let from = match (c.opt_number()?, c.opt_name()?) {
        (Some(parent), Some(name)) => Some((ItemId(parent), name)),
        (None, None) => None,
        _ => return Err(c.bad("half a place")),
    };
    let result = if c.flag()? { None } else { Some(Box::new(state(c)?)) };
    Ok(Intent { aspects, result, digest, from })
}

pub fn node(c: &mut Columns<'_>) -> Result<Node> {
    Ok(Node {
        id: NodeId(c.key()),
        kind: c.kind()?,
        mode: c.small()?,
        uid: c.small()?,
        gid: c.small()?,
        rdev: c.small()?,
        size: c.number()?,
        atime: c.time()?,
        mtime: c.time()?,
        ctime: c.time()?,
        content: c.opt_number()?.map(ContentId),
        link_target: c.opt_shared()?,
        xattrs: share_empty(c.opt_postcard()?.unwrap_or_default()),
        listed: c.flag()?,
        writing: c.flag()?,
        replaced: c.opt_number()?.map(ContentId),
    })
}

pub fn content(c: &mut Columns<'_>) -> Result<ContentRow> {
    let id = ContentId(c.key());
    let file = c.number()?;
    let size = c.number()?;
    let over = match (c.opt_number()?, c.opt_number()?) {
        (Some(content), Some(limit)) => Some(Over { content: ContentId(content), limit }),
        (None, None) => None,
        _ => return Err(c.bad("half of what it lies over")),
    };
    let changed: Vec<std::ops::Range<u64>> = c.opt_postcard()?.unwrap_or_default();
    let mut end = None;
    for range in &changed {
        if range.is_empty() || end.is_some_and(|end| range.start <= end) {
            return Err(c.bad(format_args!("changed ranges out of order at {}..{}", range.start, range.end)));
        }
        end = Some(range.end);
    }
    Ok(ContentRow {
        id,
        file,
        size,
        over,
        changed,
        whole: c.flag()?,
        sealed: c.flag()?,
        digest: c.opt_digest()?,
    })
}

fn setting(c: &mut Columns<'_>) -> Result<(u64, (String, String))> {
    c.skip(1);
    Ok((c.key(), (c.text()?.to_owned(), c.text()?.to_owned())))
}

/// Without its settings.
fn location(c: &mut Columns<'_>) -> Result<Location> {
    Ok(Location {
        id: LocationId(c.key()),
        name: c.text()?.to_owned(),
        url: c.text()?.to_owned(),
        root: ItemId(c.number()?),
        by_hand: c.flag()?,
        settings: Vec::new(),
        last_sync: c.opt_time()?,
        brake: c.opt_problem()?,
    })
}

pub fn stashed(c: &mut Columns<'_>) -> Result<Stashed> {
    Ok(Stashed {
        id: StashId(c.key()),
        location: LocationId(c.number()?),
        target: c.bytes()?.to_owned(),
        side: c.word(Side::from_word)?,
        kind: c.kind()?,
        mode: c.small()?,
        mtime: c.time()?,
        size: c.number()?,
        content: c.opt_number()?.map(ContentId),
        link_target: c.opt_shared()?,
        at: c.time()?,
        why: c.text()?.to_owned(),
        kept: c.flag()?,
    })
}

pub fn history(c: &mut Columns<'_>) -> Result<History> {
    Ok(History {
        id: HistoryId(c.key()),
        at: c.time()?,
        what: c.text()?.to_owned(),
        undone: c.flag()?,
        kind: c.word(HistoryKind::from_word)?,
        location: c.opt_number()?.map(LocationId),
        items: c.number()?,
        counted: Counted {
            away_seconds: c.opt_number()?,
            sent: c.number()?,
            taken: c.number()?,
            conflicts: c.number()?,
        },
        released: c.flag()?,
        left_out: c.number()?,
    })
}

pub fn before(c: &mut Columns<'_>) -> Result<(BeforeId, Before)> {
    let id = BeforeId { history: HistoryId(c.key()), number: c.number()? };
    let before = c.opt_postcard()?;
    Ok((id, before.ok_or_else(|| c.bad("nothing where a value belongs"))?))
}

pub fn happened(c: &mut Columns<'_>) -> Result<Happened> {
    Ok(Happened {
        seq: c.key(),
        item: ItemId(c.number()?),
        at: c.time()?,
        target: c.bytes()?.to_owned(),
        what: c.text()?.to_owned(),
    })
}

/// What happened to an item or at a path, oldest first.
pub fn happened_to(connection: &Connection, item: Option<ItemId>, target: &[u8]) -> Result<Vec<Happened>> {
    let sql = schema::HAPPENED.select_sql("WHERE item = ?1 OR target = ?2 ORDER BY seq");
    let mut statement = connection.prepare_cached(&sql).map_err(store_error)?;
    let mut rows = statement.query((item.map(|item| item.0 as i64), target)).map_err(store_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        found.push(happened(&mut Columns::new(row, schema::HAPPENED.name)?)?);
    }
    Ok(found)
}
