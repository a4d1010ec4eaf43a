//! The engine in the foreground, without a window.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use holdfast_host::{Paths, ServeOptions, init_log, serve_until_signal};
use serde_json::json;

use crate::exit::{Ended, Exit, Failure};
use crate::out::Out;

pub fn serve(paths: Paths, mount: Option<PathBuf>, options: Vec<String>, replace: bool, out: Out) -> Ended {
    init_log();
    let options = ServeOptions {
        paths,
        mount,
        mount_options: options.into_iter().filter(|option| !option.is_empty()).collect(),
        session_bus: true,
        replace,
    };
    // Whoever started us need not read on: a closed standard output ends nothing.
    serve_until_signal(options, |dir| {
        let _ = ready(dir, out);
    })
    .map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Exit::Done)
}

fn ready(dir: &Path, out: Out) -> std::io::Result<()> {
    let line = match out {
        Out::Text => [b"ready ", dir.as_os_str().as_bytes()].concat(),
        Out::Json => json!({ "ready": dir.to_string_lossy() }).to_string().into_bytes(),
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
