//! An HTTP client as small as the tests need it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::{STEP_TIMEOUT, token};

pub(crate) const ROOM: &str = "list:1";

/// Somebody who asks, with a token.
pub(crate) struct Http {
    address: String,
    token: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Null when empty.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Http {
    /// Ann, who may use [`ROOM`] and her own.
    pub(crate) fn ann(url: &str) -> Self {
        Self::with(url, Some(token("ann", &[ROOM])))
    }

    pub(crate) fn with(url: &str, token: Option<String>) -> Self {
        Self { address: url.strip_prefix("http://").unwrap().to_owned(), token }
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let body = body.map(|body| body.to_string());
        self.ask_text(method, path, headers, body.as_deref().map(|body| ("application/json", body)))
    }

    pub(crate) fn ask_text(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &str)>,
    ) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            request += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        match body {
            Some((kind, body)) => {
                request += &format!("content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
            None => request += "\r\n",
        }
        let mut stream = TcpStream::connect(self.address.parse::<SocketAddr>().unwrap()).unwrap();
        stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
        // A server that refuses a body may close before it has read it.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("JSON") };
        Answer { status, headers: lines.map(header).collect(), body }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    pub(crate) fn put(&self, path: &str, body: Value) -> Answer {
        self.ask("PUT", path, &[], Some(body))
    }

    pub(crate) fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask("PATCH", path, &[], Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], None)
    }
}

/// The path of a document of the room.
pub(crate) fn at(id: &str) -> String {
    format!("/v1/rooms/{ROOM}/collections/todos/documents/{id}")
}
