//! The dialogue with which a replica introduces itself to its primary.

use super::{CAPABILITY, GREETING};
use crate::time::Duration;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the primary offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The stream from where the replica's history ends; the id may be a new one.
    Continue(Option<String>),
    /// A full copy, as of an offset of a history.
    Full {
        /// The history's id.
        replid: String,
        /// The offset of the copy.
        offset: u64,
    },
}

/// The primary did not follow the protocol, or refused.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The primary answered with an error.
    #[error("the primary answered {to} with: {error}")]
    Refused {
        /// The command.
        to: &'static str,
        /// Its error.
        error: String,
    },
    /// The primary misbehaved.
    #[error("the primary misbehaved: {0}")]
    Misbehaved(String),
}

/// What a replica says of itself.
pub struct Introduction {
    /// The port on which it serves clients.
    pub port: u16,
    /// The address it announces, if it does.
    pub announce_ip: Option<String>,
    /// User and password for the primary.
    pub auth: Option<(Option<String>, String)>,
    /// The run of its process.
    pub run_id: String,
    /// The history it knows.
    pub replid: Option<String>,
    /// How much of it, in bytes.
    pub offset: u64,
    /// Whether the node at the other end, which is a replica still, is to become primary.
    pub take_over: bool,
}

/// A connection to a primary with the bytes that came and were not used yet.
pub struct Dialogue {
    /// The connection.
    pub stream: TcpStream,
    /// Bytes received and not used.
    pub buffer: Vec<u8>,
    /// The stream was asked for.
    pub asked: bool,
    /// Whether the primary is a node of our own kind.
    pub of_our_kind: bool,
    /// How long the primary may be silent.
    timeout: Duration,
}

impl Dialogue {
    /// A dialogue that has not begun.
    pub fn new(stream: TcpStream, timeout: Duration) -> Self {
        Dialogue {
            stream,
            buffer: Vec::new(),
            asked: false,
            of_our_kind: false,
            timeout,
        }
    }

    /// Introduces the replica and asks for the stream.
    ///
    /// # Errors
    /// When the connection fails, or the primary refuses or misbehaves.
    pub async fn introduce(&mut self, who: &Introduction) -> Result<Offer, HandshakeError> {
        self.ping().await?;
        if let Some((user, password)) = &who.auth {
            let mut args = vec!["AUTH"];
            args.extend(user.as_deref());
            args.push(password);
            self.expect_ok("AUTH", &args).await?;
        }
        let port = who.port.to_string();
        self.tell(&["REPLCONF", "listening-port", &port]).await?;
        if let Some(ip) = &who.announce_ip {
            self.tell(&["REPLCONF", "ip-address", ip]).await?;
        }
        // What is not announced, such as a channel of its own for the copy, is not offered.
        let capabilities = [
            "REPLCONF", "capa", "eof", "capa", "psync2", "capa", CAPABILITY,
        ];
        self.of_our_kind = self.tell(&capabilities).await?.as_deref() == Some(GREETING);
        if self.of_our_kind {
            self.tell(&["REPLCONF", "run-id", &who.run_id]).await?;
        } else {
            // Valkey writes its copy for the version it hears; Redis does not know the word.
            self.tell(&["REPLCONF", "version", READS_AS]).await?;
        }
        let (replid, offset) = match &who.replid {
            Some(replid) => (replid.as_str(), (who.offset + 1).to_string()),
            None => ("?", "-1".to_owned()),
        };
        let mut psync = vec!["PSYNC", replid, &offset];
        if who.take_over {
            psync.push("FAILOVER");
        }
        self.asked = true;
        self.send(&psync).await?;
        match self.reply().await? {
            OwnedFrame::SimpleString(text) => parse_offer(&String::from_utf8_lossy(&text)),
            OwnedFrame::Error(error) => Err(HandshakeError::Refused { to: "PSYNC", error }),
            other => Err(misbehaved("PSYNC", &other)),
        }
    }

    /// The line that comes before a full copy.
    ///
    /// # Errors
    /// When the connection fails or the line is none that announces a copy.
    pub async fn copy_header(&mut self) -> Result<String, HandshakeError> {
        loop {
            // A primary that prepares the copy sends empty lines to keep the link alive.
            while self.buffer.first() == Some(&b'\n') {
                self.buffer.remove(0);
            }
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                return match line.as_bytes().first() {
                    Some(b'$') => Ok(line[1..].to_owned()),
                    _ => Err(HandshakeError::Misbehaved(format!(
                        "{line:?} where a copy was due"
                    ))),
                };
            }
            if self.buffer.len() > 1024 {
                return Err(HandshakeError::Misbehaved("an endless line".into()));
            }
            self.fill().await?;
        }
    }

    async fn ping(&mut self) -> Result<(), HandshakeError> {
        self.send(&["PING"]).await?;
        match self.reply().await? {
            OwnedFrame::SimpleString(_) => Ok(()),
            // It asks for authentication, which comes next.
            OwnedFrame::Error(e) if e.starts_with("NOAUTH") || e.starts_with("NOPERM") => Ok(()),
            OwnedFrame::Error(error) => Err(HandshakeError::Refused { to: "PING", error }),
            other => Err(misbehaved("PING", &other)),
        }
    }

    async fn expect_ok(&mut self, to: &'static str, args: &[&str]) -> Result<(), HandshakeError> {
        self.send(args).await?;
        match self.reply().await? {
            OwnedFrame::SimpleString(_) => Ok(()),
            OwnedFrame::Error(error) => Err(HandshakeError::Refused { to, error }),
            other => Err(misbehaved(to, &other)),
        }
    }

    /// Tells something of which nothing depends on whether the primary understands it.
    async fn tell(&mut self, args: &[&str]) -> Result<Option<String>, HandshakeError> {
        self.send(args).await?;
        match self.reply().await? {
            OwnedFrame::SimpleString(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            OwnedFrame::Error(error) => {
                tracing::debug!(told = args[1], %error, "the primary does not understand REPLCONF");
                Ok(None)
            }
            other => Err(misbehaved("REPLCONF", &other)),
        }
    }

    async fn send(&mut self, args: &[&str]) -> io::Result<()> {
        let mut request = Vec::new();
        crate::protocol::OwnedArgs::of(args)
            .view()
            .encode_into(&mut request);
        self.stream.write_all(&request).await
    }

    async fn reply(&mut self) -> Result<OwnedFrame, HandshakeError> {
        loop {
            // Empty lines keep the link alive while the primary is busy.
            while self.buffer.first() == Some(&b'\n') {
                self.buffer.remove(0);
            }
            match decode(&self.buffer) {
                Ok(Some((frame, used))) => {
                    self.buffer.drain(..used);
                    return Ok(frame);
                }
                Ok(None) if self.buffer.len() < 64 * 1024 => {}
                Ok(None) => return Err(HandshakeError::Misbehaved("an endless reply".into())),
                Err(error) => return Err(HandshakeError::Misbehaved(error.to_string())),
            }
            self.fill().await?;
        }
    }

    /// Waits for more bytes, for as long as the primary may be silent, and says how many came.
    ///
    /// # Errors
    /// When the connection fails or ends, or nothing comes.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_AT_ONCE);
        let read = self.stream.read_buf(&mut self.buffer);
        match tokio::time::timeout(self.timeout, read).await {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

fn parse_offer(text: &str) -> Result<Offer, HandshakeError> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("CONTINUE"), replid, None) => Ok(Offer::Continue(replid.map(str::to_owned))),
        (Some("FULLRESYNC"), Some(replid), Some(offset)) => match offset.parse() {
            Ok(offset) if replid.len() == 40 => Ok(Offer::Full {
                replid: replid.to_owned(),
                offset,
            }),
            _ => Err(HandshakeError::Misbehaved(format!("{text:?} to PSYNC"))),
        },
        _ => Err(HandshakeError::Misbehaved(format!("{text:?} to PSYNC"))),
    }
}

fn misbehaved(to: &str, frame: &OwnedFrame) -> HandshakeError {
    HandshakeError::Misbehaved(format!("{frame:?} to {to}"))
}

/// The version of Valkey whose RDB files are read here.
const READS_AS: &str = "9.1.2";
/// Bytes read at once.
const READ_AT_ONCE: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers() {
        let id = "0123456789012345678901234567890123456789";
        assert_eq!(parse_offer("CONTINUE").ok(), Some(Offer::Continue(None)));
        assert_eq!(
            parse_offer(&format!("CONTINUE {id}")).ok(),
            Some(Offer::Continue(Some(id.into())))
        );
        assert_eq!(
            parse_offer(&format!("FULLRESYNC {id} 77")).ok(),
            Some(Offer::Full {
                replid: id.into(),
                offset: 77
            })
        );
        for bad in ["", "FULLRESYNC x 1", "FULLRESYNC", "OK"] {
            assert!(parse_offer(bad).is_err(), "{bad}");
        }
    }
}
