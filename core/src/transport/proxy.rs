//! A way through an HTTP proxy: `CONNECT` (RFC 9110, section 9.3.6), before TLS and the WebSocket.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::close::CloseReason;
use super::endpoint::RequestError;

/// The longest answer of a proxy before its blank line, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// An HTTP proxy, checked when it is set.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl Proxy {
    /// From `http://host:port`, or `http://user:password@host:port`.
    pub fn parse(url: &str) -> Result<Self, RequestError> {
        let url = Url::parse(url)?;
        if url.scheme() != "http" {
            return Err(RequestError::ProxyScheme);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(RequestError::NotAnOrigin);
        }
        let host = url.host().ok_or(RequestError::MissingHost)?.to_owned();
        let port = url.port_or_known_default().ok_or(RequestError::ProxyScheme)?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        let authorization = has_user
            .then(|| {
                Some([unescape(url.username())?, unescape(url.password().unwrap_or_default())?].join(":"))
            })
            .map(|user| user.ok_or(RequestError::ProxyCredentials))
            .transpose()?
            .map(|user| format!("Basic {}", BASE64_STANDARD.encode(user)));
        Ok(Self { host, port, authorization })
    }

    /// Asks the proxy for a tunnel. The stream then leads to the server.
    pub(super) async fn tunnel(
        &self,
        tcp: &mut TcpStream,
        host: &Host<String>,
        port: u16,
    ) -> Result<(), CloseReason> {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|value| format!("Proxy-Authorization: {value}\r\n"));
        let request = format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{}\r\n",
            authorization.unwrap_or_default()
        );
        let failed = |error: std::io::Error| CloseReason::from_io(&error);
        tcp.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut head = Vec::new();
        // Byte by byte: what follows the blank line is the server's.
        while !head.ends_with(HEAD_END) {
            if head.len() >= HEAD_BYTES_MAX {
                return Err(CloseReason::NotProxy);
            }
            head.push(tcp.read_u8().await.map_err(failed)?);
        }
        match status(&head) {
            Some(200..=299) => Ok(()),
            Some(status) => Err(CloseReason::Proxy(status)),
            None => Err(CloseReason::NotProxy),
        }
    }
}

impl fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

/// Undoes percent-encoding; `None` if the result is no text, or text that a user name cannot hold.
fn unescape(text: &str) -> Option<String> {
    // What a form gives a meaning of its own.
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let decoded = url::form_urlencoded::parse(text.as_bytes()).next();
    let decoded = decoded.map(|(name, _)| name.into_owned()).unwrap_or_default();
    (!decoded.contains(char::is_control) && !decoded.contains(char::REPLACEMENT_CHARACTER)).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_password_become_a_header_and_are_not_printed() {
        let Ok(proxy) = Proxy::parse("http://ada:p%40ss+1@proxy.example:3128") else {
            unreachable!("refused")
        };
        let expected = format!("Basic {}", BASE64_STANDARD.encode("ada:p@ss+1"));
        assert_eq!(proxy.authorization, Some(expected));
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example:3128)");
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        let table = [
            ("proxy.example", RequestError::Url(url::ParseError::RelativeUrlWithoutBase)),
            ("http://bücher.example", RequestError::HostName),
            ("https://proxy.example", RequestError::ProxyScheme),
            ("socks5://proxy.example", RequestError::ProxyScheme),
            ("http://proxy.example/path", RequestError::NotAnOrigin),
            ("http://a%0Ab@proxy.example", RequestError::ProxyCredentials),
        ];
        for (url, error) in table {
            assert_eq!(Proxy::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn only_an_answer_of_a_proxy_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407 Authentication\r\n\r\n"), Some(407));
        assert_eq!(status(b"SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(status(b"\xff\r\n\r\n"), None);
    }
}
