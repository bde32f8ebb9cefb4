//! Whose connection it is, and which rooms it may use.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use syncline_protocol::{ErrorCode, Room, WireError};

use crate::server_client::is_server_room;

/// The shortest secret taken: as long as the hash it keys.
pub const SECRET_BYTES_MIN: usize = 32;

/// A longer token is refused unread.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Checks and, in development mode, issues tokens: JWT, HS256 and nothing else.
pub struct Authenticator {
    decoding: DecodingKey,
    encoding: EncodingKey,
    validation: Validation,
    leeway: Duration,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since the epoch.
    exp: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rooms: Vec<String>,
}

/// Who is connected, with what rights and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    pub user: String,
    rules: Vec<RoomRule>,
    /// When the connection must end, in seconds since the epoch: the token's end and the leeway.
    pub ends_s: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum RoomRule {
    Exact(String),
    /// Every room that starts so.
    Prefix(String),
}

impl RoomRule {
    /// `list:*` allows every room that starts with `list:`; anything else is one room's name.
    fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) if prefix.len() > 1 && prefix.ends_with(':') => Self::Prefix(prefix.to_owned()),
            _ => Self::Exact(text.to_owned()),
        }
    }

    fn allows(&self, room: &Room) -> bool {
        match self {
            Self::Exact(name) => room.as_str() == name,
            Self::Prefix(prefix) => room.as_str().starts_with(prefix.as_str()),
        }
    }
}

impl Identity {
    /// Refuses a room that the token does not name: `user:<sub>` and the rooms of its claim are all there are.
    pub fn authorize(&self, room: &Room) -> Result<(), WireError> {
        if !is_server_room(room) && self.rules.iter().any(|rule| rule.allows(room)) {
            Ok(())
        } else {
            Err(WireError::new(ErrorCode::Forbidden, "the token does not allow this room"))
        }
    }
}

impl Authenticator {
    /// Tokens are taken for `leeway_s` seconds after they expired.
    pub fn new(secret: &[u8], leeway_s: u64) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.leeway = leeway_s;
        validation.validate_nbf = true;
        Self {
            decoding: DecodingKey::from_secret(secret),
            encoding: EncodingKey::from_secret(secret),
            validation,
            leeway: Duration::from_secs(leeway_s),
        }
    }

    /// Reads a token. Every way in which it does not hold is `unauthorized`.
    pub fn verify(&self, token: &str) -> Result<Identity, WireError> {
        let unauthorized = |message: &str| WireError::new(ErrorCode::Unauthorized, message);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(unauthorized("the token is too long"));
        }
        let token =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).map_err(|error| {
                unauthorized(match error.kind() {
                    ErrorKind::ExpiredSignature => "the token has expired",
                    ErrorKind::ImmatureSignature => "the token is not valid yet",
                    ErrorKind::InvalidAlgorithm
                    | ErrorKind::InvalidAlgorithmName
                    | ErrorKind::UnsupportedAlgorithm => "the token is not signed with HS256",
                    ErrorKind::InvalidSignature => "the token's signature does not match",
                    _ => "the token is malformed",
                })
            })?;
        let Claims { sub, exp, rooms } = token.claims;
        let personal = Room::new(format!("user:{sub}"))
            .map_err(|_| unauthorized("the token's subject does not make a room's name"))?;
        let mut rules = vec![RoomRule::Exact(personal.as_str().to_owned())];
        rules.extend(rooms.iter().map(|text| RoomRule::parse(text)));
        Ok(Identity { user: sub, rules, ends_s: exp.saturating_add(self.leeway.as_secs()) })
    }

    /// Signs a token that ends at `exp_s`, in seconds since the epoch.
    pub fn issue(&self, user: &str, rooms: Vec<String>, exp_s: u64) -> Result<String, WireError> {
        Room::new(format!("user:{user}"))
            .map_err(|error| WireError::new(ErrorCode::Invalid, format!("sub: {error}")))?;
        let claims = Claims { sub: user.to_owned(), exp: exp_s, rooms };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| WireError::new(ErrorCode::Internal, "the token cannot be signed"))
    }
}

// The keys stay out of logs.
impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const FAR_S: u64 = 4_000_000_000;

    fn room(name: &str) -> Room {
        Room::new(name).unwrap()
    }

    #[test]
    fn only_the_personal_room_and_the_claimed_ones_are_allowed() {
        let auth = Authenticator::new(SECRET, 30);
        let rooms = vec![
            "list:9".to_owned(),
            "demo:*".to_owned(),
            "$server:*".to_owned(),
            "*".to_owned(),
            ":*".to_owned(),
        ];
        let identity = auth.verify(&auth.issue("42", rooms, FAR_S).unwrap()).unwrap();
        for allowed in ["user:42", "list:9", "demo:1"] {
            assert_eq!(identity.authorize(&room(allowed)), Ok(()), "{allowed}");
        }
        for denied in ["user:421", "user:4", "list:99", "demo", "other", ":x", "$server:webhooks"] {
            assert_eq!(identity.authorize(&room(denied)).unwrap_err().code, ErrorCode::Forbidden, "{denied}");
        }
        assert_eq!(identity.ends_s, FAR_S + 30);
    }

    #[test]
    fn a_token_that_does_not_hold_is_unauthorized() {
        let auth = Authenticator::new(SECRET, 30);
        let other = Authenticator::new(b"another secret, as long as the first", 30);
        let sign = |algorithm: Algorithm, claims: serde_json::Value| {
            jsonwebtoken::encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
        };
        // {"alg":"none","typ":"JWT"} and a body that would be fine.
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImV4cCI6NDAwMDAwMDAwMH0.";
        let refused = [
            other.issue("42", Vec::new(), FAR_S).unwrap(),
            auth.issue("42", Vec::new(), 1000).unwrap(),
            sign(Algorithm::HS384, serde_json::json!({"sub": "42", "exp": FAR_S})),
            sign(Algorithm::HS256, serde_json::json!({"sub": "42"})),
            sign(Algorithm::HS256, serde_json::json!({"exp": FAR_S})),
            sign(Algorithm::HS256, serde_json::json!({"sub": "42", "exp": FAR_S, "nbf": FAR_S - 1})),
            sign(Algorithm::HS256, serde_json::json!({"sub": "a\u{0}b", "exp": FAR_S})),
            none.to_owned(),
            String::new(),
            "x".repeat(TOKEN_BYTES_MAX + 1),
        ];
        for token in refused {
            assert_eq!(auth.verify(&token).unwrap_err().code, ErrorCode::Unauthorized, "{token}");
        }
    }
}
