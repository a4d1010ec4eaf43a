//! What happens, as it happens.

use std::io::Write;

use holdfast_bus::Commands;
use serde_json::{Value, json};

use crate::exit::{Ended, Failure};
use crate::show::json;

/// The first line says that from here on nothing is missed. Ends only with the engine.
pub async fn events(engine: &dyn Commands) -> Ended {
    let events = engine.subscribe().await?;
    print(&json!({ "event": "listening" }))?;
    while let Ok(revised) = events.recv().await {
        print(&json::event(&revised))?;
    }
    Err(Failure::failed("the engine has gone away"))
}

fn print(value: &Value) -> Ended<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
