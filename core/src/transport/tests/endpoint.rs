use crate::transport::tls::Roots;
use crate::transport::{ConnectRequest, RequestError, SocketLimits, TlsOptions};

fn request(url: &str) -> Result<ConnectRequest, RequestError> {
    ConnectRequest::new(url, super::tls::TestCa::new().config())
}

#[test]
fn http_schemes_are_web_socket_schemes() {
    let table = [
        ("http://sync.example.com", "ws://sync.example.com/socket.io/?EIO=4&transport=websocket", 80),
        ("ws://127.0.0.1:8080/", "ws://127.0.0.1:8080/socket.io/?EIO=4&transport=websocket", 8080),
        ("https://sync.example.com", "wss://sync.example.com/socket.io/?EIO=4&transport=websocket", 443),
        ("wss://[::1]:9", "wss://[::1]:9/socket.io/?EIO=4&transport=websocket", 9),
    ];
    for (url, uri, port) in table {
        let request = request(url).unwrap();
        assert_eq!(request.http_request().unwrap().uri().to_string(), uri);
        assert_eq!(request.port(), port);
        assert_eq!(request.is_secure(), uri.starts_with("wss"), "{url}");
    }
}

#[test]
fn path_query_and_headers_are_in_the_upgrade_request() {
    let request = request("https://a.example:8443").unwrap();
    let request = request.with_path("/my path/").unwrap();
    let request = request.with_query("room", "a&b=c").unwrap().with_header("X-App", "demo").unwrap();
    let upgrade = request.http_request().unwrap();
    assert_eq!(
        upgrade.uri().to_string(),
        "wss://a.example:8443/my%20path/?EIO=4&transport=websocket&room=a%26b%3Dc"
    );
    assert_eq!(upgrade.headers()["x-app"], "demo");
    assert_eq!(upgrade.headers()["host"], "a.example:8443");
}

#[test]
fn urls_that_cannot_be_meant_are_refused() {
    let table = [
        ("sync.example.com", RequestError::Url(url::ParseError::RelativeUrlWithoutBase)),
        ("http://a:b:c", RequestError::Url(url::ParseError::InvalidPort)),
        ("http://", RequestError::MissingHost),
        ("https://bücher.example", RequestError::HostName),
        ("ftp://a.example", RequestError::Scheme),
        ("file:///etc/passwd", RequestError::Scheme),
        ("https://user@a.example", RequestError::Credentials),
        ("https://user:word@a.example", RequestError::Credentials),
        ("https://:word@a.example", RequestError::Credentials),
        ("https://a.example/admin", RequestError::NotAnOrigin),
        ("https://a.example?token=1", RequestError::NotAnOrigin),
        ("https://a.example#x", RequestError::NotAnOrigin),
    ];
    for (url, error) in table {
        assert_eq!(request(url).unwrap_err(), error, "{url}");
    }
}

#[test]
fn a_host_that_is_not_ascii_is_given_in_its_ascii_form() {
    let host = request("https://xn--bcher-kva.example").unwrap().host().to_string();
    assert_eq!(host, "xn--bcher-kva.example");
}

#[test]
fn settings_that_would_break_the_upgrade_are_refused() {
    let request = || request("http://a.example").unwrap();
    assert_eq!(request().with_path("socket.io").unwrap_err(), RequestError::Path);
    assert_eq!(request().with_query("EIO", "3").unwrap_err(), RequestError::ReservedQuery("EIO"));
    assert_eq!(request().with_header("a b", "c").unwrap_err(), RequestError::Header);
    assert_eq!(request().with_header("a", "b\r\nHost: c").unwrap_err(), RequestError::Header);
    for name in ["Host", "Sec-WebSocket-Key", "upgrade"] {
        let error = RequestError::ReservedHeader(name.to_ascii_lowercase());
        assert_eq!(request().with_header(name, "a").unwrap_err(), error);
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let request = request("https://a.example").unwrap().with_limits(SocketLimits::DEFAULT);
    let request = request.with_query("key", "secret").unwrap();
    let request = request.with_header("Authorization", "Bearer secret").unwrap();
    assert!(!format!("{request:?}").contains("secret"));
    let tls = TlsOptions { roots: Roots::PrivateCa { pem: b"secret".to_vec() }, ..TlsOptions::default() };
    assert!(!format!("{tls:?}").contains("secret"));
}
