//! Rows of the text merge: a bench of the engine takes the times, side by side with git's.

use std::process::Command;

use super::Options;
use super::table::{Goal, Row, Table, Unit};
use crate::run::{self, Failure, Result, capture};

/// As the bench names the texts that are no attack.
const ORDINARY: &str = "100,000 lines, 1,000 edits a side, apart";
const EMPTY: &str = "three empty texts";

pub fn measure(options: &Options, table: &mut Table) -> Result<()> {
    println!("Building the bench of the text merge (release) ...");
    let bench = run::build("holdfast-engine", run::Build::Bench("merge_ratio"))?;
    eprintln!("merging texts");
    let output = capture(Command::new(bench).args(["--samples", &options.runs.to_string()]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::new(format!("the bench of the text merge failed: {said}")));
    }
    let rows = rows(&String::from_utf8_lossy(&output.stdout));
    table.rows.extend(rows.into_iter().filter(|row| options.wants(&row.name)));
    Ok(())
}

/// The ordinary texts, and of all others those on which we look worst.
fn rows(samples: &str) -> Vec<Row> {
    let mut texts: Vec<Row> = Vec::new();
    for line in samples.lines() {
        let mut words = line.split('\t');
        let (Some(name), Some(ours), Some(git)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let (Ok(ours), Ok(git)) = (ours.parse(), git.parse()) else { continue };
        if texts.last().is_none_or(|row| row.work != name) {
            let ordinary = name == ORDINARY;
            let (row, goal) = if ordinary { ("merge", 2.0) } else { ("merge-hostile", 0.2) };
            texts.push(Row::new(row, name.to_owned(), Unit::Seconds, &[Goal::Ratio("git", goal)]));
        }
        if let Some(row) = texts.last_mut() {
            row.add("holdfast", ours);
            row.add("git", git);
        }
    }
    let (mut rows, others): (Vec<Row>, Vec<Row>) = texts.into_iter().partition(|row| row.name == "merge");
    let others = others.into_iter().filter(|row| row.work != EMPTY);
    rows.extend(others.min_by(|a, b| f64::total_cmp(&a.compared_with(1), &b.compared_with(1))));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_the_hostile_texts_is_shown() {
        let samples = format!("{EMPTY}\t1\t1\n{ORDINARY}\t1\t2\n{ORDINARY}\t1\t4\na\t1\t3\nb\t2\t1\n");
        let rows = rows(&samples);
        let shown: Vec<(&str, &str)> = rows.iter().map(|r| (r.name.as_str(), r.work.as_str())).collect();
        assert_eq!(shown, [("merge", ORDINARY), ("merge-hostile", "b")]);
        assert_eq!(rows[0].compared_with(1), 3.0);
    }
}
