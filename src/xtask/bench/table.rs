//! Samples, medians and ratios, printed as a table.

/// All runs of one program at one piece of work, in seconds.
pub struct Cell {
    pub who: String,
    pub samples: Vec<f64>,
}

pub struct Row {
    pub work: String,
    /// Ours first.
    pub cells: Vec<Cell>,
}

pub struct Table {
    pub title: String,
    pub rows: Vec<Row>,
    /// What a reader must know to read it right.
    pub notes: Vec<String>,
}

impl Table {
    pub fn print(&self) {
        println!("\n{}", self.title);
        for row in &self.rows {
            row.lines().iter().for_each(|line| println!("{line}"));
        }
        self.notes.iter().for_each(|note| println!("  note: {note}"));
    }
}

impl Row {
    /// A line for each program: its median, its spread, and our time as a multiple of its time.
    fn lines(&self) -> Vec<String> {
        let ours = self.cells.first().and_then(|c| median(&c.samples));
        let mut lines = vec![format!("  {}", self.work)];
        for (at, cell) in self.cells.iter().enumerate() {
            let Some(theirs) = median(&cell.samples) else {
                lines.push(format!("    {:<12}        -", cell.who));
                continue;
            };
            let (least, most) = spread(&cell.samples);
            let ratio = match ours {
                Some(ours) if at > 0 && theirs > 0.0 => format!("  ours takes {:.2}x as long", ours / theirs),
                _ => String::new(),
            };
            lines.push(format!("    {:<12} {theirs:>8.3} s  ({least:.3} to {most:.3}){ratio}", cell.who));
        }
        lines
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

fn spread(samples: &[f64]) -> (f64, f64) {
    samples.iter().fold((f64::INFINITY, 0.0), |(least, most), &s| (f64::min(least, s), f64::max(most, s)))
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
    fn a_row_shows_our_time_against_each_peer() {
        let cell = |who: &str, samples: &[f64]| Cell { who: who.into(), samples: samples.to_vec() };
        let row = Row {
            work: "preload".into(),
            cells: vec![cell("holdfast", &[1.0, 3.0, 2.0]), cell("rsync", &[4.0]), cell("unison", &[])],
        };
        let lines = row.lines();
        assert!(lines[1].contains("2.000 s  (1.000 to 3.000)") && !lines[1].contains("as long"));
        assert!(lines[2].contains("0.50x as long"), "{}", lines[2]);
        assert!(lines[3].trim_end().ends_with('-'));
    }
}
