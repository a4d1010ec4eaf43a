//! Looks for damage: in SQLite's own pages, in each row, and between the tables.
//!
//! Finds and tells, changes nothing. One sentence each, and no more than a hundred of one sort.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rusqlite::Connection;

use super::columns::{Decode, each};
use super::schema::{self, Table};
use super::{load, store_error};
use crate::store::persist::StoreError;
use crate::store::rows::ContentRow;

type Result<T> = std::result::Result<T, StoreError>;

const MOST_OF_A_SORT: usize = 100;

/// Questions to which every answer is a finding: a column of text.
///
/// Folder 1 is the root of the mount, which has no row.
const QUESTIONS: &[&str] = &[
    // What is referred to and absent.
    "SELECT format('Item %u belongs to location %u, which does not exist.', id, location)
       FROM item WHERE location NOT IN (SELECT id FROM location)",
    "SELECT format('Location %u (%s) has item %u as its root, which does not exist.', id, name, root)
       FROM location WHERE root NOT IN (SELECT id FROM item)",
    "SELECT format('The root of location %u (%s) is item %u of location %u.', l.id, l.name, i.id, i.location)
       FROM location l JOIN item i ON i.id = l.root WHERE i.location <> l.id",
    "SELECT format('Item %u is entered here as node %u, which does not exist.', id, node)
       FROM item WHERE node NOT IN (SELECT id FROM node)",
    "SELECT format('Item %u lies here in node %u, which does not exist.', id, parent)
       FROM item WHERE parent <> 1 AND parent NOT IN (SELECT id FROM node)",
    "SELECT format('Item %u lies here in node %u, which is no folder.', i.id, n.id)
       FROM item i JOIN node n ON n.id = i.parent WHERE n.kind <> 'folder'",
    "SELECT format('Item %u lies in base in item %u, which does not exist.', item, parent)
       FROM base WHERE parent NOT IN (SELECT id FROM item)",
    "SELECT format('Item %u lies in base in item %u, which is no folder there.', b.item, b.parent)
       FROM base b JOIN item i ON i.id = b.parent
       LEFT JOIN base p ON p.item = b.parent WHERE p.kind IS NOT 'folder'",
    "SELECT format('Item %u lies on the server in item %u, which does not exist.', item, parent)
       FROM server WHERE parent NOT IN (SELECT id FROM item)",
    "SELECT format('Item %u lies in base in item %u of another location.', b.item, b.parent)
       FROM base b JOIN item i ON i.id = b.item JOIN item p ON p.id = b.parent WHERE i.location <> p.location",
    "SELECT format('Item %u lies on the server in item %u of another location.', s.item, s.parent)
       FROM server s JOIN item i ON i.id = s.item JOIN item p ON p.id = s.parent WHERE i.location <> p.location",
    "SELECT format('Setting %s is of location %u, which does not exist.', name, location)
       FROM setting WHERE location NOT IN (SELECT id FROM location)",
    "SELECT format('Node %u has content %u, which does not exist.', id, content)
       FROM node WHERE content IS NOT NULL AND content NOT IN (SELECT id FROM content)",
    "SELECT format('Node %u replaces content %u, which does not exist.', id, replaced)
       FROM node WHERE replaced IS NOT NULL AND replaced NOT IN (SELECT id FROM content)",
    "SELECT format('Item %u has in base content %u, which does not exist.', item, content)
       FROM base WHERE content IS NOT NULL AND content NOT IN (SELECT id FROM content)",
    "SELECT format('Item %u has on the server content %u, which does not exist.', item, content)
       FROM server WHERE content IS NOT NULL AND content NOT IN (SELECT id FROM content)",
    "SELECT format('Item %u sends content %u, which does not exist.', item, content)
       FROM intent WHERE content IS NOT NULL AND content NOT IN (SELECT id FROM content)",
    "SELECT format('Stash %u has content %u, which does not exist.', id, content)
       FROM stash WHERE content IS NOT NULL AND content NOT IN (SELECT id FROM content)",
    "SELECT format('History %u does not exist, and what was before it does.', history)
       FROM before WHERE history NOT IN (SELECT id FROM history) GROUP BY history",
    "SELECT format('Content %u lies over content %u, which does not exist.', id, over)
       FROM content WHERE over IS NOT NULL AND over NOT IN (SELECT id FROM content)",
    // What may be there once only.
    "SELECT format('Items %s are all entered here at one place in node %u.', group_concat(id, ', '), parent)
       FROM item WHERE parent IS NOT NULL GROUP BY parent, name HAVING count(*) > 1",
    "SELECT format('Items %s are all in base at one place in item %u.', group_concat(item, ', '), parent)
       FROM base WHERE parent IS NOT NULL GROUP BY parent, name HAVING count(*) > 1",
    "SELECT format('Folder node %u is entered %d times.', n.id, count(*))
       FROM item i JOIN node n ON n.id = i.node WHERE n.kind = 'folder' GROUP BY n.id HAVING count(*) > 1",
    "SELECT format('Locations %s have one name, %s.', group_concat(id, ', '), name)
       FROM location GROUP BY name HAVING count(*) > 1",
    "SELECT format('Contents %s have one file, %u.', group_concat(id, ', '), file)
       FROM content GROUP BY file HAVING count(*) > 1",
    "SELECT format('Items %s have one conflict, %u.', group_concat(id, ', '), conflict)
       FROM item WHERE conflict IS NOT NULL GROUP BY conflict HAVING count(*) > 1",
    "SELECT format('Items %s have one problem, %u.', group_concat(id, ', '), problem)
       FROM item WHERE problem IS NOT NULL GROUP BY problem HAVING count(*) > 1",
    // What says two things at once.
    "SELECT format('Item %u is gone from the server and was never there.', id)
       FROM item WHERE server = 'gone' AND id NOT IN (SELECT item FROM base)",
    "SELECT format('Item %u lives only here and is known on the server.', id)
       FROM item WHERE local_only = 1 AND (server = 'at' OR id IN (SELECT item FROM base))",
    "SELECT format('Node %u has content and is a %s.', id, kind)
       FROM node WHERE content IS NOT NULL AND kind <> 'file'",
    "SELECT format('Node %u is a symbolic link that leads nowhere.', id)
       FROM node WHERE kind = 'symlink' AND link_target IS NULL",
    "SELECT format('Content %u is whole and sealed, and its digest is not known.', id)
       FROM content WHERE whole = 1 AND sealed = 1 AND digest IS NULL",
    // Of numbers past 2^63 the sign is turned, so that they compare as they are meant.
    "WITH given (what, id) AS (
       SELECT 'Item', id FROM item UNION ALL SELECT 'Node', id FROM node
       UNION ALL SELECT 'Content', id FROM content UNION ALL SELECT 'Location', id FROM location
       UNION ALL SELECT 'Stash', id FROM stash UNION ALL SELECT 'History', id FROM history
       UNION ALL SELECT 'Conflict', conflict FROM item WHERE conflict IS NOT NULL
       UNION ALL SELECT 'Problem', problem FROM item WHERE problem IS NOT NULL)
     SELECT format('%s %u has a number that was not handed out yet.', what, id) FROM given, meta
       WHERE meta.key = 'next_id' AND (id < 0, id) > (meta.value < 0, meta.value)",
];

pub fn verify(connection: &Connection) -> Result<Vec<String>> {
    let transaction = connection.unchecked_transaction().map_err(store_error)?;
    let mut found = Vec::new();
    for check in [pages, rows, between] {
        match check(&transaction, &mut found) {
            Ok(()) => {}
            // What cannot be read is what was looked for.
            Err(StoreError::Damaged(what)) => found.push(sentence(&what)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn pages(connection: &Connection, found: &mut Vec<String>) -> Result<()> {
    let answers = ask(connection, "PRAGMA integrity_check(100)")?;
    let bad = answers.into_iter().filter(|answer| answer != "ok");
    found.extend(bad.flat_map(|answer| {
        let lines: Vec<_> = answer.lines().map(|line| sentence(&format!("the database: {line}"))).collect();
        lines
    }));
    Ok(())
}

fn rows(connection: &Connection, found: &mut Vec<String>) -> Result<()> {
    let mut bad = Vec::new();
    let mut chains = HashMap::new();
    let mut note = |error| match error {
        StoreError::Damaged(what) => {
            bad.push(sentence(&what));
            Ok(())
        }
        other => Err(other),
    };
    fn only_read<T>(
        connection: &Connection,
        table: &Table,
        decode: Decode<T>,
        note: &mut dyn FnMut(StoreError) -> Result<()>,
    ) -> Result<()> {
        each(connection, table, decode, note, drop)
    }
    for key in ["seq", "next_id"] {
        load::meta(connection, key).map(drop).or_else(&mut note)?;
    }
    load::items(connection, &mut note, drop)?;
    load::locations(connection, &mut note, drop)?;
    only_read(connection, &schema::NODE, load::node, &mut note)?;
    only_read(connection, &schema::STASH, load::stashed, &mut note)?;
    only_read(connection, &schema::HISTORY, load::history, &mut note)?;
    only_read(connection, &schema::BEFORE, load::before, &mut note)?;
    only_read(connection, &schema::HAPPENED, load::happened, &mut note)?;
    let mut past_end = Vec::new();
    each(connection, &schema::CONTENT, load::content, &mut note, |content: ContentRow| {
        if let Some(Range { end, .. }) = content.changed.last()
            && *end > content.size
        {
            past_end.push(format!("Content {} has a changed range past its end.", content.id));
        }
        if let Some(over) = content.over {
            chains.insert(content.id.0, over.content.0);
        }
    })?;
    add(found, bad);
    add(found, past_end);
    add(found, loops(&chains, "Content", "lies over itself"));
    Ok(())
}

fn between(connection: &Connection, found: &mut Vec<String>) -> Result<()> {
    for question in QUESTIONS {
        add(found, ask(connection, question)?);
    }
    let chain = |sql| -> Result<HashMap<u64, u64>> {
        let mut statement = connection.prepare(sql).map_err(store_error)?;
        let pairs = statement
            .query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))
            .map_err(store_error)?;
        pairs.collect::<rusqlite::Result<_>>().map_err(store_error)
    };
    let here =
        chain("SELECT i.node, i.parent FROM item i JOIN node n ON n.id = i.node WHERE n.kind = 'folder'")?;
    add(found, loops(&here, "Node", "is a folder that lies in itself"));
    let base = chain("SELECT item, parent FROM base WHERE kind = 'folder' AND parent IS NOT NULL")?;
    add(found, loops(&base, "Item", "is in base a folder that lies in itself"));
    Ok(())
}

fn ask(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(sql).map_err(store_error)?;
    let answers = statement.query_map([], |row| row.get(0)).map_err(store_error)?;
    answers.collect::<rusqlite::Result<_>>().map_err(store_error)
}

/// One sentence for each loop in the chains.
fn loops(next: &HashMap<u64, u64>, what: &str, how: &str) -> Vec<String> {
    let mut ends = HashSet::new();
    let mut sentences = Vec::new();
    for &start in next.keys() {
        let mut way = Vec::new();
        let mut on_way = HashSet::new();
        let mut at = start;
        while !ends.contains(&at) {
            if !on_way.insert(at) {
                let least = way.iter().skip_while(|&&id| id != at).min().unwrap_or(&at);
                sentences.push(format!("{what} {least} {how}."));
                break;
            }
            way.push(at);
            match next.get(&at) {
                Some(&further) => at = further,
                None => break,
            }
        }
        ends.extend(way);
    }
    sentences.sort();
    sentences
}

fn add(found: &mut Vec<String>, mut sentences: Vec<String>) {
    let more = sentences.len().saturating_sub(MOST_OF_A_SORT);
    sentences.truncate(MOST_OF_A_SORT);
    found.append(&mut sentences);
    if more > 0 {
        found.push(format!("There are {more} more like the last."));
    }
}

fn sentence(what: &str) -> String {
    let mut text: String = what.trim().trim_end_matches('.').to_owned();
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    text.push('.');
    text
}
