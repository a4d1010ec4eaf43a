//! What is kept here.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::time::Duration;

use async_io::Timer;
use futures::FutureExt;
use holdfast_bus::Commands;
use holdfast_engine::model::Target;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::exit::{Ended, Exit};
use crate::out::Out;
use crate::place::target;
use crate::show::{json, text};

pub async fn pin(engine: &dyn Commands, path: &OsStr, wait: bool, out: Out) -> Ended {
    let target = target(engine, path).await?;
    if wait && std::io::stderr().is_terminal() {
        pin_with_bar(engine, &target).await?;
    } else {
        engine.pin(&target, wait).await?;
    }
    out.acted(|| match wait {
        true => format!("{} is here.", text::path(&target)),
        false => format!("{} is pinned.", text::path(&target)),
    })?;
    Ok(Exit::Done)
}

/// The bar follows the pins of the engine until the call is answered.
async fn pin_with_bar(engine: &dyn Commands, target: &Target) -> Ended<()> {
    let bar = ProgressBar::new(0).with_style(style());
    let mut pinned = engine.pin(target, true).fuse();
    let answer = loop {
        futures::select_biased! {
            answer = pinned => break answer,
            _ = FutureExt::fuse(Timer::after(Duration::from_millis(250))) => {}
        }
        // A look that fails only leaves the bar where it is.
        let pins = engine.pins().await.unwrap_or_default();
        if let Some(pin) = pins.iter().find(|pin| pin.path == *target) {
            bar.set_length(pin.bytes);
            bar.set_position(pin.present_bytes);
            bar.set_message(format!("{} of {} files", pin.present_files, pin.files));
        }
    };
    bar.finish_and_clear();
    Ok(answer?)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {msg}, {bytes_per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

pub async fn unpin(engine: &dyn Commands, path: &OsStr, out: Out) -> Ended {
    let target = target(engine, path).await?;
    engine.unpin(&target).await?;
    out.acted(String::new)?;
    Ok(Exit::Done)
}

pub async fn list(engine: &dyn Commands, out: Out) -> Ended {
    let pins = engine.pins().await?;
    out.print(|| json::array(&pins, json::pin), || text::pins(&pins))?;
    Ok(Exit::Done)
}

pub async fn evict(engine: &dyn Commands, path: &OsStr, out: Out) -> Ended {
    let target = target(engine, path).await?;
    let freed = engine.evict(&target).await?;
    out.print(|| json!({ "ok": true, "freed_bytes": freed }), || format!("{} freed.", text::size(freed)))?;
    Ok(Exit::Done)
}
