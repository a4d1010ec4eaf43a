//! Writes rows: one transaction, whole rows, so that writing one twice is harmless.

use rusqlite::{CachedStatement, Connection, Result, ToSql, Transaction, TransactionBehavior};
use serde::Serialize;

use super::schema::{self, Table};
use super::words;
use crate::model::{Digest, Name, State, Xattrs};
use crate::store::rows::{
    Before, ContentRow, Delta, Happened, History, Intent, Item, Location, Node, Problem, ServerSide, Stashed,
};

pub fn commit(connection: &mut Connection, deltas: &[Delta], seq: u64) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut writer = Writer::new(&transaction)?;
    for delta in deltas {
        writer.write(delta)?;
    }
    writer.meta("seq", seq)?;
    drop(writer);
    transaction.commit()
}

struct Writer<'t> {
    item: Put<'t>,
    base: Put<'t>,
    server: Put<'t>,
    intent: Put<'t>,
    node: Put<'t>,
    content: Put<'t>,
    location: Put<'t>,
    /// By location; its remover drops all of one.
    setting: Put<'t>,
    stash: Put<'t>,
    history: Put<'t>,
    before: Put<'t>,
    happened: Put<'t>,
    meta: CachedStatement<'t>,
}

impl<'t> Writer<'t> {
    fn new(transaction: &'t Transaction<'_>) -> Result<Writer<'t>> {
        let put = |table: &Table| Put::new(transaction, table);
        Ok(Writer {
            item: put(&schema::ITEM)?,
            base: put(&schema::BASE)?,
            server: put(&schema::SERVER)?,
            intent: put(&schema::INTENT)?,
            node: put(&schema::NODE)?,
            content: put(&schema::CONTENT)?,
            location: put(&schema::LOCATION)?,
            setting: put(&schema::SETTING)?,
            stash: put(&schema::STASH)?,
            history: put(&schema::HISTORY)?,
            before: put(&schema::BEFORE)?,
            happened: put(&schema::HAPPENED)?,
            meta: transaction.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?,
        })
    }

    fn write(&mut self, delta: &Delta) -> Result<()> {
        match delta {
            Delta::Item(id, row) => self.item(id.0, row.as_deref()),
            Delta::Node(id, row) => self.node.set(id.0, row.as_deref(), node),
            Delta::Content(id, row) => self.content.set(id.0, row.as_deref(), content),
            Delta::Location(id, row) => self.location(id.0, row.as_deref()),
            Delta::Stash(id, row) => self.stash.set(id.0, row.as_deref(), stash),
            Delta::History(id, row) => self.history.set(id.0, row.as_deref(), history),
            Delta::Before(id, Some(row)) => self.before.set(id.history.0, Some(&(id.number, &**row)), before),
            Delta::Before(id, None) => {
                self.before.remove.execute([id.history.0 as i64, id.number as i64]).map(drop)
            }
            Delta::Happened(row) => self.happened.put(row.seq, |p| happened(p, row)),
            Delta::NextId(next) => self.meta("next_id", *next),
        }
    }

    fn meta(&mut self, key: &str, value: u64) -> Result<()> {
        self.meta.execute((key, value as i64)).map(drop)
    }

    fn item(&mut self, id: u64, row: Option<&Item>) -> Result<()> {
        self.item.set(id, row, item)?;
        let server = row.and_then(|item| match &item.server {
            ServerSide::At(state) => Some(&**state),
            ServerSide::AsBase | ServerSide::Gone => None,
        });
        self.base.set(id, row.and_then(|item| item.base.as_deref()), state)?;
        self.server.set(id, server, state)?;
        self.intent.set(id, row.and_then(|item| item.sending.as_deref()), intent)
    }

    fn location(&mut self, id: u64, row: Option<&Location>) -> Result<()> {
        self.location.set(id, row, location)?;
        self.setting.remove(id)?;
        let settings = row.map_or(&[][..], |location| &location.settings);
        for (position, (name, value)) in settings.iter().enumerate() {
            self.setting.put(id, |p| {
                p.bind(position as i64)?;
                p.bind(name)?;
                p.bind(value)
            })?;
        }
        Ok(())
    }
}

/// Puts rows into one table, or takes them out; binds column by column in the order of the table.
pub(super) struct Put<'t> {
    put: CachedStatement<'t>,
    remove: CachedStatement<'t>,
    bound: usize,
}

impl<'t> Put<'t> {
    pub(super) fn new(transaction: &'t Transaction<'_>, table: &Table) -> Result<Put<'t>> {
        Ok(Put {
            put: transaction.prepare_cached(table.put_sql())?,
            remove: transaction.prepare_cached(table.remove_sql())?,
            bound: 0,
        })
    }

    pub(super) fn set<T>(
        &mut self,
        id: u64,
        row: Option<&T>,
        bind: fn(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        match row {
            Some(row) => self.put(id, |put| bind(put, row)),
            None => self.remove(id),
        }
    }

    fn put(&mut self, id: u64, bind: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.bound = 0;
        self.number(id)?;
        bind(self)?;
        self.put.raw_execute().map(drop)
    }

    fn remove(&mut self, id: u64) -> Result<()> {
        self.remove.execute([id as i64]).map(drop)
    }

    fn bind(&mut self, value: impl ToSql) -> Result<()> {
        self.bound += 1;
        self.put.raw_bind_parameter(self.bound, value)
    }

    /// Bit for bit, as SQLite has no such numbers.
    fn number(&mut self, number: u64) -> Result<()> {
        self.bind(number as i64)
    }

    fn opt_number(&mut self, number: Option<u64>) -> Result<()> {
        self.bind(number.map(|n| n as i64))
    }

    fn name(&mut self, name: Option<&Name>) -> Result<()> {
        self.bind(name.map(Name::as_bytes))
    }

    fn digest(&mut self, digest: Option<&Digest>) -> Result<()> {
        self.bind(digest.map(|digest| &digest.0[..]))
    }

    fn postcard<T: Serialize + ?Sized>(&mut self, value: Option<&T>) -> Result<()> {
        let encoded = value
            .map(postcard::to_allocvec)
            .transpose()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.bind(encoded)
    }

    fn problem(&mut self, problem: Option<&Problem>) -> Result<()> {
        self.opt_number(problem.map(|p| p.id.0))?;
        self.bind(problem.map(|p| p.needs.word()))?;
        self.bind(problem.map(|p| &p.message))
    }
}

fn item(p: &mut Put<'_>, item: &Item) -> Result<()> {
    p.number(item.location.0)?;
    let entry = item.entry.as_ref();
    p.opt_number(entry.map(|e| e.parent.0))?;
    p.name(entry.map(|e| &e.name))?;
    p.opt_number(entry.map(|e| e.node.0))?;
    p.bind(match item.server {
        ServerSide::AsBase => words::AS_BASE,
        ServerSide::Gone => words::GONE,
        ServerSide::At(_) => words::AT,
    })?;
    p.bind(item.pending.map(|pending| pending.aspects.bits()))?;
    p.bind(item.pending.map(|pending| pending.first_at.0))?;
    p.bind(item.pending.map(|pending| pending.last_at.0))?;
    let conflict = item.conflict.as_deref();
    p.opt_number(conflict.map(|c| c.id.0))?;
    p.bind(conflict.map(|c| c.kind.word()))?;
    p.bind(conflict.map(|c| c.since.0))?;
    p.problem(item.problem.as_deref())?;
    p.bind(item.pinned)?;
    p.bind(item.local_only)
}

fn state(p: &mut Put<'_>, state: &State) -> Result<()> {
    let meta = &state.meta;
    p.opt_number(state.parent.map(|parent| parent.0))?;
    p.name(Some(&state.name))?;
    p.bind(words::kind_word(meta.kind))?;
    p.bind(meta.mode)?;
    p.number(meta.size)?;
    p.bind(meta.mtime.0)?;
    p.bind(meta.link_target.as_deref())?;
    p.postcard::<Xattrs>(meta.xattrs.as_ref())?;
    p.bind(&meta.version.0[..])?;
    p.opt_number(meta.file_id)?;
    p.opt_number(state.content.map(|content| content.0))
}

fn intent(p: &mut Put<'_>, intent: &Intent) -> Result<()> {
    p.bind(intent.aspects.bits())?;
    p.digest(intent.digest.as_ref())?;
    p.opt_number(intent.from.as_ref().map(|(parent, _)| parent.0))?;
    p.name(intent.from.as_ref().map(|(_, name)| name))?;
    p.bind(intent.result.is_none())?;
    match &intent.result {
        Some(result) => state(p, result),
        None => (0..schema::state_columns()).try_for_each(|_| p.bind(None::<i64>)),
    }
}

fn node(p: &mut Put<'_>, node: &Node) -> Result<()> {
    p.bind(words::kind_word(node.kind))?;
    p.bind(node.mode)?;
    p.bind(node.uid)?;
    p.bind(node.gid)?;
    p.bind(node.rdev)?;
    p.number(node.size)?;
    p.bind(node.atime.0)?;
    p.bind(node.mtime.0)?;
    p.bind(node.ctime.0)?;
    p.opt_number(node.content.map(|content| content.0))?;
    p.bind(node.link_target.as_deref())?;
    p.postcard(Some(&node.xattrs).filter(|xattrs| !xattrs.is_empty()))?;
    p.bind(node.listed)?;
    p.bind(node.writing)?;
    p.opt_number(node.replaced.map(|content| content.0))
}

fn content(p: &mut Put<'_>, content: &ContentRow) -> Result<()> {
    p.number(content.file)?;
    p.number(content.size)?;
    p.opt_number(content.over.map(|over| over.content.0))?;
    p.opt_number(content.over.map(|over| over.limit))?;
    p.postcard(Some(&content.changed).filter(|changed| !changed.is_empty()))?;
    p.bind(content.whole)?;
    p.bind(content.sealed)?;
    p.digest(content.digest.as_ref())
}

fn location(p: &mut Put<'_>, location: &Location) -> Result<()> {
    p.bind(&location.name)?;
    p.bind(&location.url)?;
    p.number(location.root.0)?;
    p.bind(location.by_hand)?;
    p.bind(location.last_sync.map(|at| at.0))?;
    p.problem(location.brake.as_ref())
}

fn stash(p: &mut Put<'_>, stashed: &Stashed) -> Result<()> {
    p.number(stashed.location.0)?;
    p.bind(&stashed.target)?;
    p.bind(stashed.side.word())?;
    p.bind(words::kind_word(stashed.kind))?;
    p.bind(stashed.mode)?;
    p.bind(stashed.mtime.0)?;
    p.number(stashed.size)?;
    p.opt_number(stashed.content.map(|content| content.0))?;
    p.bind(stashed.link_target.as_deref())?;
    p.bind(stashed.at.0)?;
    p.bind(&stashed.why)?;
    p.bind(stashed.kept)
}

pub(super) fn history(p: &mut Put<'_>, history: &History) -> Result<()> {
    p.bind(history.at.0)?;
    p.bind(&history.what)?;
    p.bind(history.undone)?;
    p.bind(history.kind.word())?;
    p.opt_number(history.location.map(|location| location.0))?;
    p.number(history.items)?;
    p.opt_number(history.counted.away_seconds)?;
    p.number(history.counted.sent)?;
    p.number(history.counted.taken)?;
    p.number(history.counted.conflicts)?;
    p.bind(history.released)?;
    p.number(history.left_out)
}

pub(super) fn before(p: &mut Put<'_>, (number, before): &(u64, &Before)) -> Result<()> {
    p.number(*number)?;
    p.postcard(Some(before))
}

fn happened(p: &mut Put<'_>, happened: &Happened) -> Result<()> {
    p.number(happened.item.0)?;
    p.bind(happened.at.0)?;
    p.bind(&happened.target)?;
    p.bind(&happened.what)
}
