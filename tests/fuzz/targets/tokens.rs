//! Tokens: any text, and any claims with a signature that is right.
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

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| Authenticator::new(SECRET, 60));

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = str::from_utf8(input) {
        assert!(block_on(AUTHENTICATOR.verify(text)).is_err(), "nobody guesses a signature");
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(input));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length is a key");
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    drop(block_on(AUTHENTICATOR.verify(&format!("{signed}.{signature}"))));
});
