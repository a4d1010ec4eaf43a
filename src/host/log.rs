//! Where log messages go: standard error, filtered by `HOLDFAST_LOG` (default: `warn`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Call once, early. Does nothing where a subscriber is already set.
pub fn init() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .with_env_var("HOLDFAST_LOG")
        .from_env_lossy();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}
