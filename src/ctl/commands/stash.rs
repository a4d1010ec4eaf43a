//! Versions that lost.

use holdfast_bus::Commands;
use holdfast_engine::model::StashId;
use serde_json::{Map, json};

use super::stream::copy_out;
use crate::cli::StashCommand;
use crate::exit::{Ended, Exit};
use crate::out::Out;
use crate::place::{optional_target, target};
use crate::show::{json, text};

pub async fn run(engine: &dyn Commands, command: StashCommand, out: Out) -> Ended {
    match command {
        StashCommand::List { path } => {
            let under = optional_target(engine, path.as_deref()).await?;
            let entries = engine.stash_list(under.as_ref()).await?;
            out.print(|| json::array(&entries, json::stash), || text::stash(&entries))?;
        }
        StashCommand::Cat { id } => copy_out(engine.stash_open(StashId(id)).await?)?,
        StashCommand::Restore { id, to } => {
            let to = match to {
                Some(to) => Some(target(engine, &to).await?),
                None => None,
            };
            let at = engine.stash_restore(StashId(id), to.as_ref()).await?;
            out.print(
                || {
                    let mut map = Map::from_iter([("ok".to_owned(), json!(true))]);
                    json::put_path(&mut map, "path", &at);
                    map.into()
                },
                || format!("It is back at {}.", text::path(&at)),
            )?;
        }
        StashCommand::Drop { id } => {
            engine.stash_drop(StashId(id)).await?;
            out.acted(String::new)?;
        }
    }
    Ok(Exit::Done)
}
