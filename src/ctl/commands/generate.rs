//! What is made from the definition of the commands: completions and manual pages.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{Ended, Exit};

pub fn completions(shell: Shell) -> Ended {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "holdfastctl", &mut bytes);
    std::io::stdout().lock().write_all(&bytes)?;
    Ok(Exit::Done)
}

pub fn man(dir: Option<&Path>) -> Ended {
    match dir {
        Some(dir) => clap_mangen::generate_to(Cli::command(), dir)?,
        None => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout().lock())?,
    }
    Ok(Exit::Done)
}
