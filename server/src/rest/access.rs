//! Who asks, whether they may, and how often.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use syncline_protocol::{ErrorCode, Room, WireError};

use super::Rest;
use super::error::RestError;
use crate::access::{Identity, Right};
use crate::inbox;

/// Who asks, by the token of the request.
#[derive(Debug)]
pub(crate) struct Caller {
    identity: Identity,
}

impl Caller {
    pub(crate) fn user(&self) -> &str {
        &self.identity.user
    }

    /// Refuses a room that a socket with this token would be refused.
    pub(crate) async fn authorize(&self, rest: &Rest, room: &Room, right: Right) -> Result<(), RestError> {
        rest.shared.access.check(right, &self.identity, None, room).await?;
        Ok(())
    }
}

impl FromRequestParts<Rest> for Caller {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, RestError> {
        let unauthorized = || WireError::new(ErrorCode::Unauthorized, "there is no token");
        let value = parts.headers.get(header::AUTHORIZATION).ok_or_else(unauthorized)?;
        let value = value.to_str().map_err(|_| unauthorized())?;
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(unauthorized().into()),
        };
        let identity = rest.shared.auth.verify(token).await?;
        rest.rates.take(&identity.user).map_err(inbox::too_often_for)?;
        Ok(Self { identity })
    }
}
