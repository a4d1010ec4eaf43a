//! `cargo xtask bench`: our speed beside that of others, measured in the same call.
//!
//! Seconds say little from one machine to the next, ratios to a peer of the same run do. Runs of
//! ours and of the peers alternate, and medians are compared with the goals. A bench is no test: it
//! never fails because something is slow.

mod bare;
mod helper;
mod line;
mod memory;
mod merge;
mod mount;
mod options;
mod peers;
mod sync;
mod table;
mod tree;

use std::process::Command;
use std::time::Instant;

pub use options::Options;

use crate::run::{self, Result};
use crate::setup;
use table::Table;

pub fn run(options: &Options) -> Result<()> {
    if options.list {
        options::rows().for_each(|(name, what)| println!("{name:<18} {what}"));
        return Ok(());
    }
    setup::prepare(setup::For::Bench)?;
    let mut table = Table::default();
    if options.wants("merge") || options.wants("merge-hostile") {
        merge::measure(options, &mut table)?;
    }
    println!("Building holdfastctl (release) ...");
    let ctl = run::build("holdfastctl", run::Build::Release)?;
    mount::measure(&ctl, options, &mut table)?;
    for (beginning, line) in line::LINES {
        let stories = sync::stories(options, beginning);
        if !stories.is_empty() {
            sync::measure(&ctl, options, line, &stories, &mut table)?;
        }
    }
    if options.wants("memory-million") {
        memory::million(&ctl, options, &mut table)?;
    }
    if options.scale != 1.0 {
        table
            .notes
            .push(format!("sizes are {} of the full ones, for which the goals are meant", options.scale));
    }
    table.print();
    Ok(())
}

/// Seconds that `work` takes. What earlier work has left to be written does not count.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    run::quiet(&mut Command::new("sync"), &[0])?;
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}
