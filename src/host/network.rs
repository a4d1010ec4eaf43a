//! Tells the engine when routes or addresses of this computer change, and when it slept.
//!
//! The kernel tells both by itself: changes of the network on a netlink socket, the end of a sleep by a
//! timer that is cancelled when the clock is set. Nothing is asked for time and again. Where the kernel
//! refuses one of them, that is logged, and the engine finds out more slowly.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use holdfast_engine::handle::Handle;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
const NEW_LINK: u16 = 16;
/// Of a message's head; where the changed flags stand in one about a link.
const HEAD_BYTES: usize = 16;
const LINK_CHANGED: std::ops::Range<usize> = 28..32;
/// The clocks that count sleep and that do not part by more than this only in sleep.
const SLEPT: Duration = Duration::from_secs(1);

/// Begins to tell; it ends with the runtime, in which it must be called.
pub fn watch(handle: &Handle) {
    match Changes::open() {
        Ok(changes) => drop(tokio::spawn(changes.tell(handle.clone()))),
        Err(error) => tracing::warn!(%error, "changes of the network are not told by the kernel"),
    }
    match Sleep::open() {
        Ok(sleep) => drop(tokio::spawn(sleep.tell(handle.clone()))),
        Err(error) => tracing::warn!(%error, "that this computer slept is not told by the kernel"),
    }
}

/// Of routes, addresses and links.
struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    fn open() -> io::Result<Changes> {
        // No protocol is `NETLINK_ROUTE`.
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Changes(register(socket)?))
    }

    /// Returns once something changed.
    async fn next(&self) -> io::Result<()> {
        let mut messages = vec![0; 32 << 10];
        loop {
            let came = self.0.async_io(Interest::READABLE, |socket| {
                Ok(recv(socket, &mut messages[..], RecvFlags::empty())?)
            });
            match came.await {
                Ok((length, _)) if is_change(&messages[..length]) => return Ok(()),
                Ok(_) => {}
                // More than the socket holds: some of it was a change.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn tell(self, handle: Handle) {
        loop {
            match self.next().await {
                Ok(()) => handle.network_changed(),
                Err(error) => {
                    tracing::warn!(%error, "changes of the network are not told by the kernel any more");
                    return;
                }
            }
        }
    }
}

/// Whether any of the messages is more than news of how well a radio hears.
fn is_change(mut messages: &[u8]) -> bool {
    while messages.len() >= HEAD_BYTES {
        let length = u32::from_ne_bytes([messages[0], messages[1], messages[2], messages[3]]) as usize;
        let kind = u16::from_ne_bytes([messages[4], messages[5]]);
        let Some(message) = messages.get(..length).filter(|m| m.len() >= HEAD_BYTES) else {
            return true;
        };
        let is_idle = kind == NEW_LINK && message.get(LINK_CHANGED).is_some_and(|flags| flags == [0; 4]);
        if kind >= NEW_LINK && !is_idle {
            return true;
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// The end of a sleep of the machine.
struct Sleep {
    timer: AsyncFd<OwnedFd>,
    /// Time slept since the start of the machine.
    slept: Duration,
}

impl Sleep {
    fn open() -> io::Result<Sleep> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let sleep = Sleep { timer: register(timer)?, slept: slept() };
        sleep.set()?;
        Ok(sleep)
    }

    /// It never runs out; setting the clock, as at the end of a sleep, cancels it.
    fn set(&self) -> io::Result<()> {
        let never = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: i64::MAX / 2_000_000_000, tv_nsec: 0 },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(self.timer.get_ref(), flags, &never) {
            Ok(_) | Err(Errno::CANCELED) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn tell(mut self, handle: Handle) {
        loop {
            let mut count = [0; 8];
            let cancelled = self
                .timer
                .async_io(Interest::READABLE, |timer| Ok(rustix::io::read(timer, &mut count[..])?))
                .await;
            if let Err(error) = cancelled.map(drop).or_else(was_cancelled).and_then(|()| self.set()) {
                tracing::warn!(%error, "that this computer slept is not told by the kernel any more");
                return;
            }
            let slept = slept();
            if slept.saturating_sub(std::mem::replace(&mut self.slept, slept)) >= SLEPT {
                tracing::info!("this computer slept");
                handle.network_changed();
            }
        }
    }
}

fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it owns the descriptor, which stays open and the same until both go.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

fn was_cancelled(error: io::Error) -> io::Result<()> {
    if Errno::from_io_error(&error) == Some(Errno::CANCELED) { Ok(()) } else { Err(error) }
}

fn slept() -> Duration {
    let at = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    at(ClockId::Boottime).saturating_sub(at(ClockId::Monotonic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = (HEAD_BYTES + body.len()) as u32;
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
    }

    #[test]
    fn what_a_radio_hears_is_no_change() {
        let mut idle = message(NEW_LINK, &[0; 16]);
        assert!(!is_change(&idle) && !is_change(b"") && !is_change(&[0; 3]));
        let changed = message(NEW_LINK, &[[0; 12], [1; 12]].concat());
        assert!(is_change(&changed));
        idle.extend(message(24, &[0; 12]));
        assert!(is_change(&idle), "a route beside it");
        assert!(is_change(&[255; 40]), "what is not understood is taken for one");
    }

    #[tokio::test]
    async fn the_kernel_takes_both() {
        Sleep::open().unwrap();
        match Changes::open() {
            Ok(_) => {}
            Err(error) => eprintln!("SKIPPED: this machine refuses a netlink socket: {error}"),
        }
        assert!(slept() < Duration::from_secs(10 * 365 * 24 * 3600));
    }
    #[test]
    fn the_kernel_tells_of_an_address() {
        use holdfast_testkit::netns::{in_own_network, ip};
        if !in_own_network("network::tests::the_kernel_tells_of_an_address") {
            return;
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let changes = Changes::open().unwrap();
            for words in ["link set lo up", "addr add 10.99.0.1/24 dev lo", "route add 10.98.0.0/16 dev lo"] {
                ip(words);
                changes.next().await.unwrap();
                // All that this one brought about.
                while tokio::time::timeout(Duration::from_millis(200), changes.next()).await.is_ok() {}
            }
        });
    }
}
