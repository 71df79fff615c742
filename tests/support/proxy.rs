//! A TCP proxy that stands for the network between two nodes: it can swallow or cut links.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

const FLOWS: u8 = 0;
const SWALLOWS: u8 = 1;
const ENDED: u8 = 2;

/// How often a direction looks at what it shall do.
const TURN: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Orders {
    mode: AtomicU8,
    /// Links of earlier generations are closed.
    generation: AtomicU64,
    delay_ms: AtomicU64,
    target: AtomicU16,
}

/// Forwards connections to a port until it is dropped.
pub struct Proxy {
    pub port: u16,
    orders: Arc<Orders>,
}

impl Proxy {
    pub fn to(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let orders: Arc<Orders> = Arc::default();
        orders.target.store(target, Ordering::SeqCst);
        let of_thread = Arc::clone(&orders);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_thread.mode.load(Ordering::SeqCst) == ENDED {
                    return;
                }
                let target = of_thread.target.load(Ordering::SeqCst);
                if let Ok(server) = TcpStream::connect(("127.0.0.1", target)) {
                    forward(&client, &server, &of_thread);
                    forward(&server, &client, &of_thread);
                }
            }
        });
        Proxy { port, orders }
    }

    /// Nothing gets through, and nobody is told.
    pub fn swallow(&self) {
        self.orders.mode.store(SWALLOWS, Ordering::SeqCst);
    }

    /// Everything gets through again, also what came in between.
    pub fn heal(&self) {
        self.orders.mode.store(FLOWS, Ordering::SeqCst);
    }

    /// Closes the links that there are.
    pub fn cut(&self) {
        self.orders.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Links that are made from now on lead elsewhere; those that there are end.
    pub fn lead_to(&self, target: u16) {
        self.orders.target.store(target, Ordering::SeqCst);
        self.cut();
    }

    /// Each piece takes this long in each direction.
    pub fn delay(&self, ms: u64) {
        self.orders.delay_ms.store(ms, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders.mode.store(ENDED, Ordering::SeqCst);
        // Wakes the listener, so that it notices.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn forward(from: &TcpStream, to: &TcpStream, orders: &Arc<Orders>) {
    let mut from = from.try_clone().expect("a second handle");
    let mut to = to.try_clone().expect("a second handle");
    let orders = Arc::clone(orders);
    let _ = from.set_nodelay(true);
    let _ = from.set_read_timeout(Some(TURN));
    let generation = orders.generation.load(Ordering::SeqCst);
    std::thread::spawn(move || {
        let mut space = vec![0u8; 64 * 1024];
        loop {
            let mode = orders.mode.load(Ordering::SeqCst);
            if mode == ENDED || generation != orders.generation.load(Ordering::SeqCst) {
                break;
            }
            if mode == SWALLOWS {
                std::thread::sleep(TURN);
                continue;
            }
            let n = match from.read(&mut space) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    continue;
                }
                Err(_) => break,
            };
            std::thread::sleep(Duration::from_millis(
                orders.delay_ms.load(Ordering::SeqCst),
            ));
            // What is under way when the network goes arrives when it is back.
            while orders.mode.load(Ordering::SeqCst) == SWALLOWS
                && generation == orders.generation.load(Ordering::SeqCst)
            {
                std::thread::sleep(TURN);
            }
            if to.write_all(&space[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}
