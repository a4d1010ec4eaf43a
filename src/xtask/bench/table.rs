//! Samples, medians, ratios and goals, printed as one table.

/// What a number of a row means; less is better in all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Seconds,
    Megabytes,
}

/// What a row is to reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Goal {
    /// This many times as good as that one: 0.65 of its speed, say.
    Ratio(&'static str, f64),
    /// No more than this, whatever others take.
    Most(f64),
}

/// All runs of one program at one piece of work.
pub struct Cell {
    pub who: String,
    pub samples: Vec<f64>,
    /// The most megabytes that any run took, where that was looked at.
    pub megabytes: Option<f64>,
}

pub struct Row {
    pub name: String,
    pub work: String,
    pub unit: Unit,
    pub goals: Vec<Goal>,
    /// Ours first.
    pub cells: Vec<Cell>,
}

#[derive(Default)]
pub struct Table {
    pub rows: Vec<Row>,
    /// What a reader must know to read it right.
    pub notes: Vec<String>,
}

impl Row {
    pub fn new(name: &str, work: String, unit: Unit, goals: &[Goal]) -> Row {
        Row { name: name.into(), work, unit, goals: goals.to_vec(), cells: Vec::new() }
    }

    /// Whoever is named first stands first.
    pub fn add(&mut self, who: &str, sample: f64) {
        match self.cells.iter_mut().find(|cell| cell.who == who) {
            Some(cell) => cell.samples.push(sample),
            None => {
                self.cells.push(Cell { who: who.into(), samples: vec![sample], megabytes: None });
            }
        }
    }

    /// What one that has a sample already took.
    pub fn took(&mut self, who: &str, megabytes: f64) {
        if let Some(cell) = self.cells.iter_mut().find(|cell| cell.who == who) {
            cell.megabytes = Some(cell.megabytes.map_or(megabytes, |most| most.max(megabytes)));
        }
    }

    /// How many times as good ours is as that one.
    pub fn compared_with(&self, at: usize) -> f64 {
        let of = |at: usize| self.cells.get(at).and_then(|c| median(&c.samples)).unwrap_or(f64::NAN);
        of(at) / of(0)
    }

    /// A line for each program: the best run, the median, how many times as good ours is, the goal.
    fn lines(&self) -> Vec<String> {
        let ours = self.cells.first().and_then(|c| median(&c.samples));
        let mut lines = vec![format!("{:<18} {}", self.name, self.work)];
        for (at, cell) in self.cells.iter().enumerate() {
            let (Some(ours), Some(theirs)) = (ours, median(&cell.samples)) else { continue };
            let least = cell.samples.iter().copied().fold(f64::INFINITY, f64::min);
            let (unit, digits) = match self.unit {
                Unit::Seconds => ("s", 3),
                Unit::Megabytes => ("MB", 1),
            };
            let ratio = if at > 0 && ours > 0.0 { format!("{:.2}x", theirs / ours) } else { String::new() };
            let goal = self.goals.iter().find_map(|goal| verdict(*goal, at, cell, ours, theirs));
            let memory = cell.megabytes.map(|mb| format!("{mb:.0} MB")).unwrap_or_default();
            let line = format!(
                "    {:<14} {least:>9.digits$} {theirs:>9.digits$} {unit:<2} {ratio:>8} {memory:>8}  {}",
                cell.who,
                goal.unwrap_or_default()
            );
            lines.push(line.trim_end().to_owned());
        }
        lines
    }
}

fn verdict(goal: Goal, at: usize, cell: &Cell, ours: f64, theirs: f64) -> Option<String> {
    let (wanted, met) = match goal {
        Goal::Ratio(who, least) if cell.who == who => {
            (format!("at least {least:.2}x"), theirs >= least * ours)
        }
        Goal::Most(most) if at == 0 => (format!("at most {most}"), ours <= most),
        _ => return None,
    };
    Some(format!("{wanted}: {}", if met { "met" } else { "MISSED" }))
}

impl Table {
    pub fn note_once(&mut self, note: &str) {
        if !self.notes.iter().any(|n| n == note) {
            self.notes.push(note.to_owned());
        }
    }

    pub fn print(&self) {
        println!("\n{:<18} {:>9} {:>9}    {:>8} {:>8}  goal", "", "min", "median", "ours", "memory");
        for line in self.rows.iter().flat_map(Row::lines) {
            println!("{line}");
        }
        println!("\nIn the column `ours`: how many times as fast (or as small) ours is, by the medians.");
        println!(
            "In the column `memory`: the most that it took with all its processes here, in any run so far."
        );
        self.notes.iter().for_each(|note| println!("note: {note}"));
    }
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn a_row_shows_how_ours_compares_and_whether_the_goal_is_met() {
        let goals = [Goal::Ratio("rsync", 1.0), Goal::Ratio("native", 0.65)];
        let mut row = Row::new("preload", "preload".into(), Unit::Seconds, &goals);
        for (who, sample) in
            [("holdfast", 1.0), ("rsync", 1.9), ("native", 1.4), ("holdfast", 3.0), ("holdfast", 2.0)]
        {
            row.add(who, sample);
        }
        let lines = row.lines();
        assert!(lines[1].contains("1.000     2.000 s") && !lines[1].contains('x'), "{}", lines[1]);
        assert!(lines[2].contains("0.95x           at least 1.00x: MISSED"), "{}", lines[2]);
        assert!(lines[3].contains("0.70x           at least 0.65x: met"), "{}", lines[3]);

        let mut row = Row::new("memory", "memory".into(), Unit::Megabytes, &[Goal::Most(60.0)]);
        row.add("holdfast", 60.5);
        assert!(row.lines()[1].ends_with("at most 60: MISSED"), "{}", row.lines()[1]);
    }
}
