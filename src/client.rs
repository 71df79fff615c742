//! A small blocking client for the tools: one request, one reply, with a deadline.

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A connection to a server.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed or took too long.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server answered with an error.
    #[error("{0}")]
    Server(String),
    /// The server's bytes are no reply.
    #[error("not a reply: {0}")]
    Protocol(String),
}

impl Client {
    /// Connects; no operation on the connection takes longer than `timeout`.
    ///
    /// # Errors
    /// When the address does not resolve or nobody answers in time.
    pub fn connect(host: &str, port: u16, timeout: Duration) -> Result<Self, ClientError> {
        let address = (host, port)
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Client {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// When the connection fails or the server answers with an error.
    pub fn call(&mut self, args: &[&str]) -> Result<OwnedFrame, ClientError> {
        let mut request = Vec::new();
        crate::protocol::OwnedArgs::of(args)
            .view()
            .encode_into(&mut request);
        self.stream.write_all(&request)?;
        loop {
            match decode(&self.buffer) {
                Ok(Some((OwnedFrame::Error(error), used))) => {
                    self.buffer.drain(..used);
                    return Err(ClientError::Server(error));
                }
                Ok(Some((frame, used))) => {
                    self.buffer.drain(..used);
                    return Ok(frame);
                }
                Ok(None) => {}
                Err(error) => return Err(ClientError::Protocol(error.to_string())),
            }
            let mut space = [0u8; 16 * 1024];
            let n = self.stream.read(&mut space)?;
            if n == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.buffer.extend_from_slice(&space[..n]);
        }
    }

    /// Sends a request whose reply is text.
    ///
    /// # Errors
    /// As [`Client::call`], and when the reply is not text.
    pub fn text(&mut self, args: &[&str]) -> Result<String, ClientError> {
        match self.call(args)? {
            OwnedFrame::BulkString(bytes) | OwnedFrame::SimpleString(bytes) => {
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            other => Err(ClientError::Protocol(format!("{other:?}"))),
        }
    }
}

/// The value of `field` in the text of `INFO`.
pub fn info_field<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_fields() {
        let info = "# Replication\r\nrole:master\r\nrole2:x\r\n";
        assert_eq!(info_field(info, "role"), Some("master"));
        assert_eq!(info_field(info, "rol"), None);
    }
}
