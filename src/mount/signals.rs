//! Whether a program that waits wants out.
//!
//! The kernel would say so with `FUSE_INTERRUPT`, but fuser 0.18 answers that with `ENOSYS` by
//! itself, and from then on the kernel lets the caller sleep until its request is answered,
//! whatever signal comes. The signal stays pending and can be seen in `/proc`, so whoever waits
//! is looked at now and then.

use std::fs;

/// Signals a person or a supervisor sends to end a program, also where it handles them.
const ENDING: u64 = bit(1) | bit(2) | bit(3) | bit(9) | bit(15);

/// Signals that stop or go on, or that end nothing unless they are handled.
const HARMLESS: u64 = bit(17) | bit(18) | bit(19) | bit(20) | bit(21) | bit(22) | bit(23) | bit(28);

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// The thread has a pending signal that is to end it. `false` where it cannot be looked at.
pub(crate) fn wants_out(thread: u32) -> bool {
    thread != 0 && fs::read_to_string(format!("/proc/{thread}/status")).is_ok_and(|status| ends(&status))
}

fn ends(status: &str) -> bool {
    let mask = |key: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or(0)
    };
    let pending = (mask("SigPnd") | mask("ShdPnd")) & !mask("SigBlk") & !mask("SigIgn");
    // A handler for, say, an alarm expects no interrupted read of a file.
    let kills = !mask("SigCgt") & !HARMLESS;
    pending & (ENDING | kills) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pending: u64, blocked: u64, ignored: u64, caught: u64) -> String {
        format!(
            "Name:\tcat\nSigPnd:\t0000000000000000\nShdPnd:\t{pending:016x}\nSigBlk:\t{blocked:016x}\n\
             SigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
        )
    }

    #[test]
    fn only_what_ends_a_program_interrupts_it() {
        let (interrupt, alarm, stop) = (bit(2), bit(14), bit(20));
        assert!(ends(&status(interrupt, 0, 0, 0)));
        assert!(ends(&status(interrupt, 0, 0, interrupt)), "handled, still meant");
        assert!(!ends(&status(interrupt, interrupt, 0, 0)), "blocked");
        assert!(!ends(&status(interrupt, 0, interrupt, 0)), "ignored");
        assert!(ends(&status(alarm, 0, 0, 0)));
        assert!(!ends(&status(alarm, 0, 0, alarm)), "a handled alarm");
        assert!(!ends(&status(stop, 0, 0, 0)));
        assert!(!ends(&status(0, 0, 0, 0)));
        assert!(!ends(""));
    }

    #[test]
    fn a_running_thread_does_not_want_out() {
        assert!(!wants_out(std::process::id()));
        assert!(!wants_out(0));
    }
}
