//! What each command does: connect, ask, show.

mod decide;
mod events;
mod export;
mod generate;
mod locations;
mod pins;
mod serve;
mod stash;
mod stream;
mod sync;
mod work;

use holdfast_bus::{Client, Commands};
use holdfast_host::Paths;

use crate::cli::{Cli, Command};
use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;

pub fn run(cli: Cli) -> Ended {
    let out = if cli.json { Out::Json } else { Out::Text };
    match cli.command {
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { dir } => generate::man(dir.as_deref()),
        Command::Serve { mount, options, replace } => serve::serve(paths()?, mount, options, replace, out),
        command => async_io::block_on(async {
            let engine = Client::connect(&paths()?.socket()).await?;
            ask(&engine, command, out).await
        }),
    }
}

fn paths() -> Ended<Paths> {
    Paths::from_env().map_err(|error| Failure::failed(error.to_string()))
}

async fn ask(engine: &dyn Commands, command: Command, out: Out) -> Ended {
    match command {
        Command::Status => work::status(engine, out).await,
        Command::Location { command } => locations::run(engine, command, out).await,
        Command::Pin { path, wait } => pins::pin(engine, &path, wait, out).await,
        Command::Unpin { path } => pins::unpin(engine, &path, out).await,
        Command::Pins => pins::list(engine, out).await,
        Command::Evict { path } => pins::evict(engine, &path, out).await,
        Command::Offline { name } => sync::offline(engine, name.as_deref(), out).await,
        Command::Online { name } => sync::online(engine, name.as_deref(), out).await,
        Command::Sync { name, wait, timeout } => {
            sync::sync(engine, name.as_deref(), wait, timeout, out).await
        }
        Command::Problems { path } => work::problems(engine, path.as_deref(), out).await,
        Command::Retry { id } => work::retry(engine, id, out).await,
        Command::Confirm { id } => work::confirm(engine, id, out).await,
        Command::Changes { path } => work::changes(engine, path.as_deref(), out).await,
        Command::Export { file, path } => export::export(engine, &file, path.as_deref(), out).await,
        Command::Conflicts { path } => decide::conflicts(engine, path.as_deref(), out).await,
        Command::States { path } => decide::states(engine, &path, out).await,
        Command::Cat { path, state } => stream::cat(engine, &path, state).await,
        Command::Resolve(args) => decide::resolve(engine, &args, out).await,
        Command::Why { path } => work::why(engine, &path, out).await,
        Command::Stash { command } => stash::run(engine, command, out).await,
        Command::History => decide::history(engine, out).await,
        Command::Undo { id } => decide::undo(engine, id, out).await,
        Command::Check { repair } => work::check(engine, repair, out).await,
        Command::Events => events::events(engine).await,
        // Need no engine; `run` has taken them.
        Command::Serve { .. } | Command::Completions { .. } | Command::Man { .. } => Ok(Exit::Done),
    }
}
