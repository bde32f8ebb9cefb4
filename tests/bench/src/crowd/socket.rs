//! A Socket.IO client on a bare WebSocket: text frames, short requests, and no more than the crowd needs.

use std::net::SocketAddr;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scenario::BenchError;

const NAME: &str = "a client of the crowd";

/// Frames of the protocol of WebSockets.
const TEXT_FINAL: u8 = 0x81;
const OPCODE_TEXT: u8 = 1;
const MASKED: u8 = 0x80;
const LENGTH_16: usize = 126;
const LENGTH_64: usize = 127;

/// What is read at a time.
const READ_BYTES: usize = 16 << 10;

pub(super) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer was read by [`text`](Self::text).
    taken: usize,
    next_ack: u64,
}

impl Socket {
    pub(super) async fn connect(address: SocketAddr, auth: &Json) -> Result<Self, BenchError> {
        // Unbound: the ports of a crowd that has gone, which the system keeps for a minute, are then free for another server.
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self { stream, buffer: Vec::new(), taken: 0, next_ack: 0 };
        let end = loop {
            if let Some(end) = socket.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            socket.read().await?;
        };
        if !socket.buffer.starts_with(b"HTTP/1.1 101") {
            let head = String::from_utf8_lossy(&socket.buffer[..end]).into_owned();
            return Err(BenchError::failed(NAME, head));
        }
        socket.taken = end;
        socket.until("0{").await?;
        socket.send(&format!("40{auth}")).await?;
        socket.until("40").await?;
        Ok(socket)
    }

    /// Sends a request, and waits for its answer.
    pub(super) async fn ask(&mut self, event: &str, argument: &Json) -> Result<Json, BenchError> {
        let ack = self.request(event, argument).await?;
        let head = format!("43{ack}[");
        let text = self.until(&head).await?;
        let answer: Json = serde_json::from_str(&text[head.len() - 1..])?;
        let answer = answer.get(0).cloned().unwrap_or_default();
        match answer.get("error") {
            Some(error) if !error.is_null() => Err(BenchError::failed(NAME, error)),
            _ => Ok(answer),
        }
    }

    /// Sends a request. Answers the number that its answer bears.
    pub(super) async fn request(&mut self, event: &str, argument: &Json) -> Result<u64, BenchError> {
        let ack = self.next_ack;
        self.next_ack += 1;
        self.send(&format!("42{ack}[{},{argument}]", Json::from(event))).await?;
        Ok(ack)
    }

    /// Reads until a text begins with `head`.
    pub(super) async fn until(&mut self, head: &str) -> Result<String, BenchError> {
        loop {
            let text = self.text().await?;
            if text.starts_with(head.as_bytes()) {
                return Ok(String::from_utf8_lossy(text).into_owned());
            }
        }
    }

    /// The next text, after the heartbeat's, which are answered.
    pub(super) async fn text(&mut self) -> Result<&[u8], BenchError> {
        loop {
            let (start, end) = loop {
                if let Some(found) = self.frame()? {
                    break found;
                }
                self.read().await?;
            };
            let is_text = self.buffer[self.taken] & 0x0f == OPCODE_TEXT;
            self.taken = end;
            if is_text && &self.buffer[start..end] == b"2" {
                self.send("3").await?;
            } else if is_text {
                return Ok(&self.buffer[start..end]);
            }
        }
    }

    /// Where the payload of the next frame is, if all of it was read.
    fn frame(&self) -> Result<Option<(usize, usize)>, BenchError> {
        let bytes = &self.buffer[self.taken..];
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & MASKED != 0 {
            return Err(BenchError::failed(NAME, "a server masks nothing"));
        }
        let (head, length) = match usize::from(second) {
            LENGTH_16 => match bytes.get(2..4) {
                Some(length) => (4, length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))),
                None => return Ok(None),
            },
            LENGTH_64 => match bytes.get(2..10) {
                Some(length) => (10, length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))),
                None => return Ok(None),
            },
            length => (2, length),
        };
        let start = self.taken + head;
        Ok((self.buffer.len() >= start + length).then_some((start, start + length)))
    }

    async fn read(&mut self) -> Result<(), BenchError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(BenchError::failed(NAME, "the server closed the connection")),
            _ => Ok(()),
        }
    }

    /// Gives back what the buffer holds beyond what is unread: of thousands, each would keep some.
    pub(super) fn shrink(&mut self) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.shrink_to_fit();
    }

    async fn send(&mut self, text: &str) -> Result<(), BenchError> {
        let mut frame = vec![TEXT_FINAL];
        match text.len() {
            short if short < LENGTH_16 => frame.push(MASKED | u8::try_from(short).unwrap_or(0)),
            long => {
                frame.push(MASKED | 126);
                let long = u16::try_from(long).map_err(|error| BenchError::failed(NAME, error))?;
                frame.extend(long.to_be_bytes());
            }
        }
        // A mask of zeros leaves the text as it is.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.stream.write_all(&frame).await?;
        Ok(())
    }
}
