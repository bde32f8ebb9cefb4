//! The token of those who run the server.

use std::path::Path;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::config::read_secret;
use crate::error::ServerError;

/// A shorter token could be guessed.
const TOKEN_BYTES_MIN: usize = 32;

/// What `/admin` asks for. Nothing prints it.
pub(crate) struct AdminToken(Vec<u8>);

impl AdminToken {
    pub(crate) fn read(path: &Path) -> Result<Self, ServerError> {
        let token = read_secret(path)
            .map_err(|source| ServerError::AdminTokenUnreadable { path: path.to_owned(), source })?;
        if token.len() < TOKEN_BYTES_MIN {
            return Err(ServerError::AdminTokenTooShort { bytes: token.len(), bytes_min: TOKEN_BYTES_MIN });
        }
        Ok(Self(token))
    }

    /// Whether a request carries it: `authorization: Bearer …`. Takes as long for a wrong one as for the right one.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given =
            headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.is_some_and(|given| given.ct_eq(&self.0).into())
    }
}
