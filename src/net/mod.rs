//! Connections: sockets, the state of a client, and what goes out when.
//!
//! A connection lives on one worker. One poll function does all of its work: send what may
//! go, read what has come, execute it, send again. Nothing in it needs `Send`, and it never
//! holds a lock across an await.

mod burst;
mod client;
mod connection;
mod held_share;
mod listener;
mod mail;
mod output;
mod registry;
mod request;
mod ring;
mod served;
mod stream;
mod window;
mod worker;

pub use client::{Client, ReplicaHello, ReplyMode};
pub use listener::{Incoming, accept_loop, bind_tcp, bind_unix};
pub use output::Output;
pub use registry::{ClientInfo, ClientKind, Followed, LinkAddress, Names, Registry};
pub use stream::Stream;
pub use worker::{Worker, WorkerHandle, let_others_run, run_worker};
