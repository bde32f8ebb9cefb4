//! HTTP requests of the queue, over HTTP/1.1 or HTTP/2 as the server likes, under the TLS rules of the socket.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use syncline_protocol::gather::Gather as _;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response};
use url::Url;

use super::close::CloseReason;
use super::connector::Connector;
use super::dial::Dialer;
use super::endpoint::RequestError;
use crate::engine::queue::http::{HttpRequest, HttpResponse, RESPONSE_HEADERS};
use crate::error::{Code, Error};

/// How long a connection that nobody uses is kept: longer, and a network change finds it dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const IDLE_PER_HOST_MAX: usize = 4;
/// How often a connection that is shared is asked whether it lives while requests are under way on it, and how long it has to
/// answer: it is never idle while requests keep coming, though it be dead. The question stands behind what is being uploaded.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest value of a response's header that is kept, in bytes.
const HEADER_BYTES_MAX: usize = 1024;

/// Sends requests, reusing connections. Redirects are not followed.
#[derive(Clone)]
pub struct HttpClient {
    base: Url,
    connector: Connector,
    client: legacy::Client<Connector, Full<Bytes>>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// `base` is what relative addresses are relative to.
    pub fn new(base: &str, dialer: Dialer, connect_timeout_ms: u64) -> Result<Self, RequestError> {
        let mut base = Url::parse(base)?;
        let scheme = match base.scheme() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            _ => return Err(RequestError::Scheme),
        };
        if !base.username().is_empty() || base.password().is_some() {
            return Err(RequestError::Credentials);
        }
        if !base.has_host() {
            return Err(RequestError::MissingHost);
        }
        // Between special schemes this always succeeds.
        base.set_scheme(scheme).map_err(|()| RequestError::Scheme)?;
        let connector = Connector::new(dialer, Duration::from_millis(connect_timeout_ms));
        Ok(Self { base, client: pool(connector.clone()), connector })
    }

    /// Requests to come take connections of their own; those under way end as they may.
    pub fn forget_connections(&mut self) {
        self.client = pool(self.connector.clone());
    }

    /// The whole response, within the request's time and size.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let timeout = Duration::from_millis(request.timeout_ms);
        let bytes_max = usize::try_from(request.response_bytes_max).unwrap_or(usize::MAX);
        let exchange = self.exchange(request, bytes_max);
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(Error::new(Code::Timeout, "the response did not come in time")))
    }

    async fn exchange(&self, request: HttpRequest, bytes_max: usize) -> Result<HttpResponse, Error> {
        let takes_token = self.takes_token(&request);
        let request = self.prepare(request)?;
        let response = self.client.request(request).await.map_err(|error| no_response(&error))?;
        let (status, headers) = (response.status().as_u16(), kept_headers(&response));
        let body = Limited::new(response.into_body(), bytes_max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Error::new(Code::TooLarge, format!("the response has more than {bytes_max} bytes"))
            } else {
                Error::new(Code::Unreachable, format!("the response broke off: {error}"))
            }
        })?;
        Ok(HttpResponse { status, headers, body: body.to_bytes().to_vec(), takes_token })
    }

    /// A token must never reach another origin than the one that it is for, nor replace what the request itself brings.
    fn takes_token(&self, request: &HttpRequest) -> bool {
        let brings_own = request.headers.keys().any(|name| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()));
        !brings_own && self.base.join(&request.url).is_ok_and(|url| url.origin() == self.base.origin())
    }

    fn prepare(&self, request: HttpRequest) -> Result<Request<Full<Bytes>>, Error> {
        let invalid = |what: &str| Error::new(Code::Invalid, format!("the request cannot be sent: {what}"));
        let takes_token = self.takes_token(&request);
        let url = self.base.join(&request.url).map_err(|_| invalid("its URL"))?;
        let mut built = Request::builder().method(request.method.as_str()).uri(url.as_str());
        for (name, value) in &request.headers {
            built = built.header(name, value);
        }
        let mut built = built.body(Full::new(Bytes::from(request.body))).map_err(|_| invalid("a header"))?;
        if let Some(token) = request.token.filter(|_| takes_token) {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| invalid("the token"))?;
            value.set_sensitive(true);
            built.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(built)
    }
}

fn pool(connector: Connector) -> legacy::Client<Connector, Full<Bytes>> {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .build(connector)
}

/// Why a connection failed is told as of the socket.
fn no_response(error: &legacy::Error) -> Error {
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<CloseReason>()) {
        Some(reason) => Error::from(reason.clone()),
        None => Error::new(Code::Unreachable, format!("no response: {error}")),
    }
}

fn kept_headers<B>(response: &Response<B>) -> BTreeMap<String, String> {
    let value = |name: &str| {
        let value = response.headers().get(name)?.to_str().ok()?;
        (value.len() <= HEADER_BYTES_MAX).then(|| value.to_owned())
    };
    RESPONSE_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).gather()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::transport::{ConnectRequest, Tls, TlsOptions};

    fn client(base: &str) -> HttpClient {
        let tls = Tls::new(TlsOptions::default()).unwrap();
        let endpoint = ConnectRequest::new("https://a.example", tls).unwrap();
        HttpClient::new(base, endpoint.dialer().clone(), 1_000).unwrap()
    }

    fn request(url: &str) -> HttpRequest {
        HttpRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: BTreeMap::new(),
            body: Vec::new(),
            token: Some("secret".into()),
            timeout_ms: 10_000,
            response_bytes_max: 10,
        }
    }

    fn prepared(base: &str, url: &str) -> Request<Full<Bytes>> {
        client(base).prepare(request(url)).unwrap()
    }

    #[test]
    fn a_request_with_credentials_of_its_own_does_not_take_the_token() {
        let headers = [("authorization".to_owned(), "Basic eA==".to_owned())].into();
        let request = HttpRequest { headers, ..request("/items") };
        let client = client("https://a.example");
        assert!(!client.takes_token(&request));
        assert_eq!(client.prepare(request).unwrap().headers()[AUTHORIZATION], "Basic eA==");
    }

    #[test]
    fn the_token_goes_to_the_servers_own_origin_and_nowhere_else() {
        let is_sent = |base, url| prepared(base, url).headers().contains_key(AUTHORIZATION);
        assert!(is_sent("https://a.example", "/items"));
        assert!(is_sent("wss://a.example", "https://a.example/items"));
        for other in ["https://b.example/", "http://a.example/", "https://a.example:444/", "//b.example/x"] {
            assert!(!is_sent("https://a.example", other), "{other}");
        }
    }

    #[test]
    fn relative_addresses_are_relative_to_the_base() {
        assert_eq!(prepared("wss://a.example", "/items?x=1").uri(), "https://a.example/items?x=1");
        assert_eq!(prepared("https://a.example/api/", "items").uri(), "https://a.example/api/items");
    }

    /// Answers every request on a connection with nothing, and counts connections.
    async fn serve(listener: TcpListener, accepted: Arc<AtomicUsize>) {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            accepted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while connection.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    }
                }
            });
        }
    }

    #[tokio::test]
    async fn a_connection_is_used_again_until_it_is_forgotten() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicUsize::new(0));
        tokio::spawn(serve(listener, Arc::clone(&accepted)));
        let mut client = client(&base);
        let get = |client: &HttpClient| {
            let client = client.clone();
            async move {
                assert_eq!(client.send(request("/")).await.unwrap().status, 200);
                // The connection goes back to the pool on a task of its own.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
        };
        get(&client).await;
        get(&client).await;
        assert_eq!(accepted.load(Ordering::Relaxed), 1);
        client.forget_connections();
        get(&client).await;
        assert_eq!(accepted.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_client_is_printed_without_what_may_be_secret() {
        assert!(!format!("{:?}", client("https://a.example/?key=canary")).contains("canary"));
    }
}
