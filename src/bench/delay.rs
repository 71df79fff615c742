//! A TCP proxy that adds the same delay in both directions, to stand for distance.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", options.listen)).await?;
        let delay = Duration::from_micros(options.one_way_us);
        loop {
            let (near, _) = listener.accept().await?;
            let to = options.to.clone();
            tokio::spawn(async move {
                if let Ok(far) = TcpStream::connect(&to).await {
                    let _ = near.set_nodelay(true);
                    let _ = far.set_nodelay(true);
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    tokio::join!(
                        forward(near_read, far_write, delay),
                        forward(far_read, near_write, delay)
                    );
                }
            });
        }
    })
}

type Reader = tokio::net::tcp::OwnedReadHalf;
type Writer = tokio::net::tcp::OwnedWriteHalf;

async fn forward(mut from: Reader, mut to: Writer, delay: Duration) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
    let reading = async move {
        let mut space = vec![0u8; 64 * 1024];
        while let Ok(n) = from.read(&mut space).await {
            let due = Instant::now() + delay;
            if n == 0 || sender.send((due, space[..n].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        let mut late = VecDeque::new();
        while let Some((due, bytes)) = match late.pop_front() {
            Some(next) => Some(next),
            None => receiver.recv().await,
        } {
            sleep_precisely(due).await;
            let mut all = bytes;
            // What is due by now goes out together.
            while let Ok((due, more)) = receiver.try_recv() {
                if due > Instant::now() {
                    late.push_back((due, more));
                    break;
                }
                all.extend_from_slice(&more);
            }
            if to.write_all(&all).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}

/// The runtime's timer has a grain of a millisecond: the last of it is spent yielding.
async fn sleep_precisely(due: Instant) {
    let coarse = Duration::from_millis(2);
    if due.saturating_duration_since(Instant::now()) > coarse {
        tokio::time::sleep_until(due - coarse).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}
