//! What lies between a client and a real server: it counts what goes by, falls silent, and cuts off.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

/// A TCP relay on loopback. Its threads end with their connections.
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
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
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            server,
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
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).extend([kept, kept_too]);
        let (up, down) = (self.clone(), self.clone());
        std::thread::spawn(move || pass(from_client, server, &up.up, &up.swallows_up));
        std::thread::spawn(move || pass(from_server, client, &down.down, &down.swallows_down));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64, swallows: &AtomicBool) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if swallows.load(SeqCst) {
            continue;
        }
        count.fetch_add(n as u64, SeqCst);
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    if !swallows.load(SeqCst) {
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
