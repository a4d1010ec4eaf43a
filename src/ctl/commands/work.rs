//! What is going on: status, changes, problems, checks.

use std::ffi::OsStr;

use holdfast_bus::Commands;
use holdfast_engine::model::ProblemId;

use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;
use crate::place::{optional_target, target};
use crate::show::{json, text};

pub async fn status(engine: &dyn Commands, out: Out) -> Ended {
    let status = engine.status().await?;
    out.print(|| json::status(&status), || text::status(&status))?;
    Ok(Exit::Done)
}

pub async fn changes(engine: &dyn Commands, path: Option<&OsStr>, out: Out) -> Ended {
    let under = optional_target(engine, path).await?;
    let changes = engine.changes(under.as_ref()).await?;
    out.print(|| json::array(&changes, json::change), || text::changes(&changes))?;
    Ok(Exit::Done)
}

pub async fn problems(engine: &dyn Commands, path: Option<&OsStr>, out: Out) -> Ended {
    let under = optional_target(engine, path).await?;
    let problems = engine.problems(under.as_ref()).await?;
    out.print(|| json::array(&problems, json::problem), || text::problems(&problems))?;
    Ok(Exit::Done)
}

pub async fn retry(engine: &dyn Commands, id: u64, out: Out) -> Ended {
    engine.retry(ProblemId(id)).await?;
    out.acted(String::new)?;
    Ok(Exit::Done)
}

pub async fn confirm(engine: &dyn Commands, id: u64, out: Out) -> Ended {
    engine.confirm(ProblemId(id)).await?;
    out.acted(String::new)?;
    Ok(Exit::Done)
}

pub async fn why(engine: &dyn Commands, path: &OsStr, out: Out) -> Ended {
    let target = target(engine, path).await?;
    let entries = engine.why(&target).await?;
    out.print(|| json::array(&entries, json::why), || text::why(&entries))?;
    Ok(Exit::Done)
}

pub async fn check(engine: &dyn Commands, repair: bool, out: Out) -> Ended {
    let check = engine.check(repair).await?;
    out.print(|| json::check(&check), || text::check(&check))?;
    match check.ok {
        true => Ok(Exit::Done),
        false => Err(Failure::failed(format!(
            "the check found something wrong: {}",
            text::count(check.findings.len() as u64, "finding", "findings")
        ))),
    }
}
