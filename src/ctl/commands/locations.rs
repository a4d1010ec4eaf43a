//! Locations.

use holdfast_bus::Commands;
use holdfast_engine::handle::{Error, ErrorKind};

use crate::cli::LocationCommand;
use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;
use crate::show::{json, text};

pub async fn run(engine: &dyn Commands, command: LocationCommand, out: Out) -> Ended {
    match command {
        LocationCommand::Add { name, url } => {
            if let Err(error) = engine.location_add(&name, &url).await {
                let is_new = !is_known(engine, &name).await?;
                return Err(misused(error, is_new));
            }
            out.acted(|| format!("{name} is added."))?;
        }
        LocationCommand::List => {
            let locations = engine.location_list().await?;
            out.print(|| json::array(&locations, json::location_report), || text::locations(&locations))?;
        }
        LocationCommand::Remove { name, discard } => {
            engine.location_remove(&name, discard).await?;
            out.acted(|| format!("{name} is removed."))?;
        }
        LocationCommand::Set { name, key, value } => {
            if let Err(error) = engine.location_set(&name, &key, &value).await {
                let is_there = is_known(engine, &name).await?;
                return Err(misused(error, is_there));
            }
            out.acted(String::new)?;
        }
    }
    Ok(Exit::Done)
}

async fn is_known(engine: &dyn Commands, name: &str) -> Ended<bool> {
    let locations = engine.location_list().await?;
    Ok(locations.iter().any(|location| location.name == name))
}

/// Where the name is as it should be, what the engine finds senseless is the URL, key or value:
/// wrong use. Else it is the name, which fails.
fn misused(error: Error, name_fits: bool) -> Failure {
    match error.kind {
        ErrorKind::Usage if name_fits => Failure::wrong_use(error.text),
        _ => error.into(),
    }
}
