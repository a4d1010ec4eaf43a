//! What lies between a client and a real server: it counts what goes by, takes its time, falls silent, and
//! cuts off.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Pieces that are on their way in one direction: more than any window of a connection lets go.
const ON_THE_WAY: usize = 4096;

/// A TCP relay on loopback. Its threads end with their connections.
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    /// In each direction.
    delay: Duration,
    /// What comes is taken and goes nowhere, as in a network that has lost its way.
    swallows_up: AtomicBool,
    swallows_down: AtomicBool,
    up: AtomicU64,
    down: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl Relay {
    /// To the server at this port.
    pub fn to(server: u16) -> std::io::Result<Relay> {
        Relay::far(server, Duration::ZERO)
    }

    /// To one that is so long away, there and back. How much goes is not limited by that.
    pub fn far(server: u16, round_trip: Duration) -> std::io::Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            server,
            delay: round_trip / 2,
            swallows_up: AtomicBool::new(false),
            swallows_down: AtomicBool::new(false),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            connections: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.ended.load(SeqCst) {
                    return;
                }
                accepting.connect(client);
            }
        });
        Ok(Relay { port, shared })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that came from clients, and from the server.
    pub fn bytes(&self) -> (u64, u64) {
        (self.shared.up.load(SeqCst), self.shared.down.load(SeqCst))
    }

    /// From now on nothing gets through, and nobody is told.
    pub fn swallow(&self) {
        self.shared.swallows_up.store(true, SeqCst);
        self.shared.swallows_down.store(true, SeqCst);
    }

    /// From now on what is asked reaches the server, and no answer comes back.
    pub fn swallow_answers(&self) {
        self.shared.swallows_down.store(true, SeqCst);
    }

    /// Lets through again; what was cut or lost something is no connection any more.
    pub fn heal(&self) {
        self.cut();
        self.shared.swallows_up.store(false, SeqCst);
        self.shared.swallows_down.store(false, SeqCst);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        let mut connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.cut();
        // Wakes who accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        // Where nobody listens behind it, the client is cut off.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.server)) else { return };
        let ends = (client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone());
        let (Ok(from_client), Ok(from_server), Ok(kept), Ok(kept_too)) = ends else { return };
        // Small pieces are not to wait here for one another.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).extend([kept, kept_too]);
        let (up, down) = (self.clone(), self.clone());
        std::thread::spawn(move || pass(from_client, server, &up.up, &up.swallows_up, up.delay));
        std::thread::spawn(move || pass(from_server, client, &down.down, &down.swallows_down, down.delay));
    }
}

fn pass(mut from: TcpStream, to: TcpStream, count: &AtomicU64, swallows: &AtomicBool, delay: Duration) {
    let mut way = Way::to(to, delay);
    let mut bytes = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if swallows.load(SeqCst) {
            continue;
        }
        count.fetch_add(n as u64, SeqCst);
        if !way.take(&bytes[..n]) {
            break;
        }
    }
    if swallows.load(SeqCst) {
        way.leave_open();
    } else {
        way.end();
        let _ = from.shutdown(Shutdown::Both);
    }
}

/// What goes one way: each piece arrives after the same time, in order.
enum Way {
    Short(TcpStream),
    Long(mpsc::SyncSender<(Instant, Vec<u8>)>, std::thread::JoinHandle<TcpStream>, Duration),
}

impl Way {
    fn to(mut to: TcpStream, delay: Duration) -> Way {
        if delay.is_zero() {
            return Way::Short(to);
        }
        let (sender, pieces) = mpsc::sync_channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
        let arrives = std::thread::spawn(move || {
            for (at, bytes) in pieces {
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            to
        });
        Way::Long(sender, arrives, delay)
    }

    /// Whether somebody still takes it.
    fn take(&mut self, bytes: &[u8]) -> bool {
        match self {
            Way::Short(to) => to.write_all(bytes).is_ok(),
            Way::Long(sender, _, delay) => sender.send((Instant::now() + *delay, bytes.to_vec())).is_ok(),
        }
    }

    /// What is on its way arrives; nobody is told that there will be no more.
    fn leave_open(self) {
        if let Way::Long(sender, arrives, _) = self {
            drop(sender);
            let _ = arrives.join();
        }
    }

    fn end(self) {
        let to = match self {
            Way::Short(to) => Some(to),
            Way::Long(sender, arrives, _) => {
                drop(sender);
                arrives.join().ok()
            }
        };
        let _ = to.map(|to| to.shutdown(Shutdown::Both));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_a_long_way_arrives_whole_in_order_and_late() {
        const ROUND_TRIP: Duration = Duration::from_millis(40);
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::far(server.local_addr().unwrap().port(), ROUND_TRIP).unwrap();
        let echo = std::thread::spawn(move || {
            let (mut from, _) = server.accept().unwrap();
            let mut to = from.try_clone().unwrap();
            // Ends with the client, in whatever way.
            let _ = std::io::copy(&mut from, &mut to);
        });
        let mut client = TcpStream::connect(("127.0.0.1", relay.port())).unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let began = Instant::now();
        let mut writer = client.try_clone().unwrap();
        let bytes = sent.clone();
        let writes = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let mut came = vec![0; sent.len()];
        client.read_exact(&mut came).unwrap();
        assert!(came == sent);
        assert!(began.elapsed() >= ROUND_TRIP);
        writes.join().unwrap();
        drop(client);
        echo.join().unwrap();
    }
}
