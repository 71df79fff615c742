//! A TCP proxy that adds the same delay in both directions, to stand for distance.
//!
//! Two threads a direction, because sleeping threads are woken within microseconds where a
//! runtime's timer has a grain of a millisecond, and because nothing may spin: the proxy
//! shares the machine with what is measured.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Forwards TCP connections with a delay.
#[derive(Clone, Debug, clap::Args)]
pub struct DelayOptions {
    /// Port to listen on, on the loopback interface.
    #[arg(long)]
    pub listen: u16,
    /// Where to forward to: host:port.
    #[arg(long)]
    pub to: String,
    /// Delay in one direction, in microseconds.
    #[arg(long)]
    pub one_way_us: u64,
}

/// Runs the proxy until it is killed.
///
/// # Errors
/// When the port cannot be listened on.
pub fn run(options: &DelayOptions) -> io::Result<()> {
    // The default slack of 50 microseconds would be a tenth of the shortest delay. Threads
    // inherit it; where it cannot be set the delay is merely less exact.
    let _ = nix::sys::prctl::set_timerslack(1);
    let listener = TcpListener::bind(("127.0.0.1", options.listen))?;
    let delay = Duration::from_micros(options.one_way_us);
    loop {
        let (near, _) = listener.accept()?;
        // A failed connection ends alone; its peer sees it closed.
        let _ = TcpStream::connect(&options.to).and_then(|far| join(near, far, delay));
    }
}

fn join(near: TcpStream, far: TcpStream, delay: Duration) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    forward(near.try_clone()?, far.try_clone()?, delay)?;
    forward(far, near, delay)
}

fn forward(from: TcpStream, to: TcpStream, delay: Duration) -> io::Result<()> {
    let (sender, receiver) = sync_channel(CHUNKS_UNDER_WAY);
    thread::Builder::new().spawn(move || collect(from, &sender, delay))?;
    thread::Builder::new().spawn(move || deliver(&receiver, to))?;
    Ok(())
}

/// Bytes and when they are due at the other end.
type Chunk = (Instant, Vec<u8>);

fn collect(mut from: TcpStream, sender: &SyncSender<Chunk>, delay: Duration) {
    let mut space = vec![0u8; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut space) {
        let due = Instant::now() + delay;
        if sender.send((due, space[..n].to_vec())).is_err() {
            return;
        }
    }
}

fn deliver(receiver: &Receiver<Chunk>, mut to: TcpStream) {
    let mut later = None;
    while let Some((due, mut bytes)) = later.take().or_else(|| receiver.recv().ok()) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        // What is due by now goes out together.
        while let Ok((due, more)) = receiver.try_recv() {
            if due > now {
                later = Some((due, more));
                break;
            }
            bytes.extend_from_slice(&more);
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// How many reads may be under way: enough for a long delay, and a bound on memory.
const CHUNKS_UNDER_WAY: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_late_whole_and_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (near, _) = listener.accept().unwrap();
        let far = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        join(near, far, Duration::from_millis(10)).unwrap();

        let begun = Instant::now();
        client.write_all(b"one ").unwrap();
        client.write_all(b"two").unwrap();
        let mut read = [0; 7];
        server.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one two");
        assert!(begun.elapsed() >= Duration::from_millis(10));
        server.write_all(b"three").unwrap();
        let mut read = [0; 5];
        client.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"three");
        assert!(begun.elapsed() >= Duration::from_millis(20));
        drop(client);
        assert_eq!(server.read(&mut read).unwrap(), 0, "an end is forwarded");
    }
}
