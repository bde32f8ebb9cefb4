//! Who asks, whether they may, and how often.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use syncline_protocol::{ErrorCode, Room, WireError};

use super::Rest;
use super::error::RestError;
use crate::access::{Identity, Right};
use crate::inbox;

/// Who asks, by the token of the request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    identity: Identity,
}

/// Who asks, or why nobody knows, as it was found out before anything else.
#[derive(Debug, Clone)]
pub(super) struct Shown(pub(super) Result<Caller, RestError>);

impl Caller {
    pub(super) async fn of(headers: &HeaderMap, rest: &Rest) -> Result<Self, RestError> {
        let value = headers.get(header::AUTHORIZATION).ok_or_else(unauthorized)?;
        let value = value.to_str().map_err(|_| unauthorized())?;
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(unauthorized().into()),
        };
        let identity = rest.shared.auth.verify(token).await?;
        Ok(Self { identity })
    }

    /// Refuses who asks too often.
    pub(super) fn paced(self, rest: &Rest) -> Result<Self, RestError> {
        rest.rates.take(&self.identity.user).map_err(inbox::too_often_for)?;
        Ok(self)
    }

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

    async fn from_request_parts(parts: &mut Parts, _: &Rest) -> Result<Self, RestError> {
        match parts.extensions.remove::<Shown>() {
            Some(Shown(caller)) => caller,
            None => Err(unauthorized().into()),
        }
    }
}

fn unauthorized() -> WireError {
    WireError::new(ErrorCode::Unauthorized, "there is no token")
}
