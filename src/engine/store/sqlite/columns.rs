//! Reads a row column by column and takes nothing on trust: what does not fit is damage, told with
//! table, key and column.

use std::fmt::Display;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;

use super::schema::Table;
use super::{store_error, words};
use crate::model::{Digest, Kind, Name, Needs, ProblemId, Time};
use crate::store::persist::StoreError;
use crate::store::rows::Problem;

type Result<T> = std::result::Result<T, StoreError>;

/// What to do with a row that cannot be read: pass it on, or note it and go on with the next.
pub type OnBad<'a> = &'a mut dyn FnMut(StoreError) -> Result<()>;

pub type Decode<T> = fn(&mut Columns<'_>) -> Result<T>;

/// The columns of one row from left to right; the first is the key.
pub struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
    table: &'static str,
    key: i64,
}

impl<'r> Columns<'r> {
    pub fn new(row: &'r Row<'r>, table: &'static str) -> Result<Columns<'r>> {
        let mut columns = Columns { row, next: 0, table, key: 0 };
        columns.key = columns.signed()?;
        Ok(columns)
    }

    pub fn key(&self) -> u64 {
        self.key as u64
    }

    /// Damage in the column that was read last.
    pub fn bad(&self, what: impl Display) -> StoreError {
        let column = self.row.as_ref().column_name(self.next.saturating_sub(1)).unwrap_or("?").to_owned();
        StoreError::Damaged(format!("table {}, row {}, column {column}: {what}", self.table, self.key()))
    }

    fn value(&mut self) -> Result<ValueRef<'r>> {
        let at = self.next;
        self.next += 1;
        self.row.get_ref(at).map_err(store_error)
    }

    pub fn opt_signed(&mut self) -> Result<Option<i64>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(n) => Ok(Some(n)),
            other => Err(self.bad(format_args!("{} where a number belongs", other.data_type()))),
        }
    }

    pub fn opt_text(&mut self) -> Result<Option<&'r str>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text).map(Some).map_err(|error| self.bad(error)),
            other => Err(self.bad(format_args!("{} where text belongs", other.data_type()))),
        }
    }

    pub fn opt_bytes(&mut self) -> Result<Option<&'r [u8]>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            other => Err(self.bad(format_args!("{} where bytes belong", other.data_type()))),
        }
    }

    fn some<T>(&self, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.bad("nothing where a value belongs"))
    }

    pub fn signed(&mut self) -> Result<i64> {
        let value = self.opt_signed()?;
        self.some(value)
    }

    pub fn text(&mut self) -> Result<&'r str> {
        let value = self.opt_text()?;
        self.some(value)
    }

    pub fn bytes(&mut self) -> Result<&'r [u8]> {
        let value = self.opt_bytes()?;
        self.some(value)
    }

    pub fn opt_number(&mut self) -> Result<Option<u64>> {
        Ok(self.opt_signed()?.map(|n| n as u64))
    }

    pub fn number(&mut self) -> Result<u64> {
        Ok(self.signed()? as u64)
    }

    pub fn small(&mut self) -> Result<u32> {
        self.signed()?.try_into().map_err(|_| self.bad("the number is out of range"))
    }

    pub fn opt_time(&mut self) -> Result<Option<Time>> {
        Ok(self.opt_signed()?.map(Time))
    }

    pub fn time(&mut self) -> Result<Time> {
        self.signed().map(Time)
    }

    pub fn flag(&mut self) -> Result<bool> {
        match self.signed()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.bad("neither 0 nor 1")),
        }
    }

    pub fn opt_name(&mut self) -> Result<Option<Name>> {
        self.opt_bytes()?.map(|bytes| Name::new(bytes).map_err(|error| self.bad(error))).transpose()
    }

    pub fn name(&mut self) -> Result<Name> {
        let value = self.opt_name()?;
        self.some(value)
    }

    pub fn opt_shared(&mut self) -> Result<Option<Arc<[u8]>>> {
        Ok(self.opt_bytes()?.map(Arc::from))
    }

    pub fn opt_digest(&mut self) -> Result<Option<Digest>> {
        let Some(bytes) = self.opt_bytes()? else {
            return Ok(None);
        };
        let digest = bytes.try_into().map_err(|_| self.bad("a digest has 32 bytes"))?;
        Ok(Some(Digest(digest)))
    }

    pub fn opt_postcard<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(bytes) = self.opt_bytes()? else {
            return Ok(None);
        };
        match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(Some(value)),
            Ok(_) => Err(self.bad("bytes are left over")),
            Err(error) => Err(self.bad(error)),
        }
    }

    /// A word that stands for a value.
    pub fn word<T>(&mut self, of: fn(&str) -> Option<T>) -> Result<T> {
        let word = self.text()?;
        of(word).ok_or_else(|| self.bad(format_args!("{word:?} is no word known here")))
    }

    pub fn kind(&mut self) -> Result<Kind> {
        self.word(words::kind_of)
    }

    /// The three columns of a problem.
    pub fn opt_problem(&mut self) -> Result<Option<Problem>> {
        match self.opt_number()? {
            Some(id) => Ok(Some(Problem {
                id: ProblemId(id),
                needs: self.word::<Needs>(words::needs_of)?,
                message: self.text()?.to_owned(),
            })),
            None => {
                self.skip(2);
                Ok(None)
            }
        }
    }

    pub fn skip(&mut self, columns: usize) {
        self.next += columns;
    }
}

/// Hands on every row of a table, by key.
pub fn each<T>(
    connection: &Connection,
    table: &Table,
    decode: Decode<T>,
    on_bad: OnBad<'_>,
    mut row: impl FnMut(T),
) -> Result<()> {
    let mut statement = connection.prepare(&table.all_sql()).map_err(store_error)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    while let Some(next) = rows.next().map_err(store_error)? {
        match Columns::new(next, table.name).and_then(|mut columns| decode(&mut columns)) {
            Ok(value) => row(value),
            Err(error) => on_bad(error)?,
        }
    }
    Ok(())
}
