//! Going offline, coming back, bringing both sides together.

use std::io::IsTerminal;
use std::time::Duration;

use holdfast_bus::Commands;
use holdfast_engine::model::SyncOutcome;
use indicatif::ProgressBar;
use serde_json::json;

use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;

pub async fn offline(engine: &dyn Commands, name: Option<&str>, out: Out) -> Ended {
    engine.offline(name).await?;
    out.acted(String::new)?;
    Ok(Exit::Done)
}

pub async fn online(engine: &dyn Commands, name: Option<&str>, out: Out) -> Ended {
    engine.online(name).await?;
    out.acted(String::new)?;
    Ok(Exit::Done)
}

pub async fn sync(
    engine: &dyn Commands,
    name: Option<&str>,
    wait: bool,
    timeout: Option<Duration>,
    out: Out,
) -> Ended {
    let spinner = (wait && std::io::stderr().is_terminal()).then(spinner);
    let outcome = engine.sync(name, wait, timeout).await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let whose = name.unwrap_or("a location");
    match outcome? {
        SyncOutcome::Clean => {
            let said = if wait { "Both sides are the same." } else { "" };
            out.print(|| json!({ "ok": true, "outcome": "clean" }), || said.into())?;
            Ok(Exit::Done)
        }
        SyncOutcome::NeedsPerson => {
            out.print(
                || json!({ "ok": false, "outcome": "needs-person" }),
                || "Done but for conflicts or problems; see `holdfastctl conflicts` and `problems`.".into(),
            )?;
            Ok(Exit::Waiting)
        }
        SyncOutcome::Offline => Err(Failure::failed(format!("{whose} is offline"))),
        SyncOutcome::TimedOut => Err(Failure::failed("the time ran out")),
    }
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message("bringing both sides together");
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
