//! Contents, from the engine's descriptor to standard output.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use holdfast_bus::Commands;
use holdfast_engine::model::Side;

use crate::exit::{Ended, Exit};
use crate::place::target;

pub async fn cat(engine: &dyn Commands, path: &OsStr, side: Side) -> Ended {
    let target = target(engine, path).await?;
    copy_out(engine.open_state(&target, side).await?)?;
    Ok(Exit::Done)
}

pub fn copy_out(content: OwnedFd) -> Ended<()> {
    let mut content = File::from(content);
    let mut out = io::stdout().lock();
    io::copy(&mut content, &mut out)?;
    Ok(io::Write::flush(&mut out)?)
}
