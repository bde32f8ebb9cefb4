//! Tokens: any text; and any claims, or any header and claims that [`SEPARATOR`] divides, with a signature that is right. Only
//! a header that names the algorithm of the key is taken.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_executor::block_on;
use hmac::{Hmac, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;
use syncline_server::auth::Authenticator;

const SECRET: &[u8] = &[7; 32];

/// A byte that no UTF-8 holds.
const SEPARATOR: u8 = 0xff;

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| Authenticator::new(SECRET, 60));

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = str::from_utf8(input) {
        assert!(block_on(AUTHENTICATOR.verify(text)).is_err(), "nobody guesses a signature");
    }
    let (header, claims) = match input.iter().position(|byte| *byte == SEPARATOR) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (&br#"{"alg":"HS256","typ":"JWT"}"#[..], input),
    };
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length is a key");
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    if block_on(AUTHENTICATOR.verify(&format!("{signed}.{signature}"))).is_ok() {
        let header: serde_json::Value = serde_json::from_slice(header).expect("a header is JSON");
        assert_eq!(header["alg"], "HS256");
        let claims: serde_json::Value = serde_json::from_slice(claims).expect("claims are JSON");
        assert!(claims["sub"].is_string(), "a token says whose it is");
    }
});
