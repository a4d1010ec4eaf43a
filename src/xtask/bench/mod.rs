//! `cargo xtask bench`: our speed beside that of others, measured in the same call.
//!
//! Seconds say little from one machine to the next, ratios to a peer of the same run do. Runs of
//! ours and of the peers alternate, and medians are shown. A bench is no test: it never fails
//! because something is slow.

mod mount;
mod peers;
mod sync;
mod table;
mod tree;

use std::time::Instant;

use crate::run::{self, Failure, Result};
use crate::setup;

#[derive(PartialEq, Eq, Debug)]
pub struct Options {
    /// A tenth of the files, to see whether the bench works.
    quick: bool,
    runs: usize,
    name: Option<String>,
}

const NAMES: [&str; 5] = ["preload", "unchanged", "edits", "replay", "mount"];

impl Options {
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options { quick: false, runs: 3, name: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--runs" => {
                    let runs = args.next().and_then(|n| n.parse().ok()).filter(|n| (1..=99).contains(n));
                    options.runs = runs.ok_or_else(|| Failure::new("--runs takes a number from 1 to 99"))?;
                }
                name if NAMES.contains(&name) && options.name.is_none() => {
                    options.name = Some(name.to_owned())
                }
                other => {
                    let names = NAMES.join(", ");
                    return Err(Failure::new(format!("bench does not know `{other}`; it knows {names}")));
                }
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|n| n == name)
    }

    /// `full`, or a tenth of it with `--quick`.
    fn size(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

pub fn run(options: &Options) -> Result<()> {
    setup::prepare(setup::For::Bench)?;
    println!("Building holdfastctl (release) ...");
    let ctl = run::build("holdfastctl", true)?;
    for work in sync::works(options) {
        sync::measure(&ctl, options, &work)?.print();
    }
    if options.wants("mount") {
        mount::measure(&ctl, options)?.print();
    }
    Ok(())
}

/// Seconds that `work` takes.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn one_name_and_its_options() {
        let options = parse(&["--runs", "5", "replay", "--quick"]).unwrap();
        assert_eq!(options, Options { quick: true, runs: 5, name: Some("replay".into()) });
        assert!(options.wants("replay") && !options.wants("mount"));
        assert!(parse(&[]).unwrap().wants("mount"));
        assert!(parse(&["--runs", "0"]).is_err());
        assert!(parse(&["repaly"]).is_err());
    }
}
