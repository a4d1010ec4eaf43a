//! Going offline, coming back, bringing both sides together.

use std::io::IsTerminal;
use std::time::Duration;

use holdfast_bus::Commands;
use holdfast_engine::model::{Link, LocationStatus, SyncOutcome};
use indicatif::ProgressBar;
use serde_json::json;

use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;
use crate::show::text::plain;

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
        SyncOutcome::Offline => {
            out.print(|| json!({ "ok": false, "outcome": "offline" }), String::new)?;
            Err(Failure::failed(offline_ones(engine, name).await))
        }
        SyncOutcome::TimedOut => {
            out.print(|| json!({ "ok": false, "outcome": "timed-out" }), String::new)?;
            Err(Failure::failed("the time ran out"))
        }
    }
}

/// Those that were meant, each with why.
async fn offline_ones(engine: &dyn Commands, name: Option<&str>) -> String {
    // A look that fails, or comes too late, only tells less.
    let locations = engine.status().await.map(|status| status.locations).unwrap_or_default();
    let meant = |location: &LocationStatus| {
        matches!(location.link, Link::Offline(_)) && name.is_none_or(|name| name == location.name)
    };
    let told = |location: LocationStatus| match plain(&location.detail) {
        why if why.is_empty() => format!("{} is offline", location.name),
        why => format!("{} is offline: {why}", location.name),
    };
    let told: Vec<String> = locations.into_iter().filter(meant).map(told).collect();
    if told.is_empty() { format!("{} is offline", name.unwrap_or("a location")) } else { told.join("; ") }
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message("bringing both sides together");
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
