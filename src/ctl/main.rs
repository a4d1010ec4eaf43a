//! `holdfastctl`: the command line of Holdfast.
//!
//! A command goes from its definition (`cli`) to the engine over the private socket (`commands`)
//! and comes back as text or JSON (`show`). Nothing here knows how the engine does it; `serve` is
//! the one command that holds an engine itself.

mod cli;
mod commands;
mod exit;
mod out;
mod place;
mod show;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = holdfast_host::dispatch_hidden() {
        return code;
    }
    match cli::parse(std::env::args_os()).and_then(commands::run) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}
