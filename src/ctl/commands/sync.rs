//! Going offline, coming back, bringing both sides together.

use std::io::IsTerminal;
use std::time::Duration;

use holdfast_bus::Commands;
use holdfast_engine::model::{Link, LocationStatus, SyncOutcome};
use indicatif::ProgressBar;
use serde_json::json;

use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;
use crate::show::text;

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
            let open = if wait && out == Out::Text { still_open(engine, name).await } else { 0 };
            let said = match open {
                _ if !wait => String::new(),
                0 => "Both sides are the same.".into(),
                changes => format!(
                    "Both sides are the same, but for {} in files that are still open for writing.",
                    text::count(changes, "change", "changes")
                ),
            };
            out.print(|| json!({ "ok": true, "outcome": "clean" }), || said)?;
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

/// The locations that are meant. A look that fails, or comes too late, only tells less.
async fn meant(engine: &dyn Commands, name: Option<&str>) -> Vec<LocationStatus> {
    let mut locations = engine.status().await.map(|status| status.locations).unwrap_or_default();
    locations.retain(|location| name.is_none_or(|name| location.name == name));
    locations
}

/// Changes that wait although all is done: no file is sent while a program writes into it.
async fn still_open(engine: &dyn Commands, name: Option<&str>) -> u64 {
    meant(engine, name).await.iter().map(|location| location.changes).sum()
}

/// Those that were meant, each with why.
async fn offline_ones(engine: &dyn Commands, name: Option<&str>) -> String {
    let mut locations = meant(engine, name).await;
    locations.retain(|location| matches!(location.link, Link::Offline(_)));
    let told = |location: LocationStatus| match text::plain(&location.detail) {
        why if why.is_empty() => format!("{} is offline", location.name),
        why => format!("{} is offline: {why}", location.name),
    };
    let told: Vec<String> = locations.into_iter().map(told).collect();
    if told.is_empty() { format!("{} is offline", name.unwrap_or("a location")) } else { told.join("; ") }
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message("bringing both sides together");
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
