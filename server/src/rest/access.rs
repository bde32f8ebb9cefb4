//! Who asks, whether they may, and how often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use syncline_protocol::{ErrorCode, Room, WireError};

use super::Rest;
use super::error::RestError;
use crate::access::{Identity, Right};
use crate::inbox::{self, TokenBucket};

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
        rest.rates.admit(&identity.user)?;
        Ok(Self { identity })
    }
}

/// How often each user asked of late.
#[derive(Debug)]
pub(crate) struct Rates {
    per_s: u32,
    burst: u32,
    users_max: usize,
    users: Mutex<HashMap<String, TokenBucket>>,
}

impl Rates {
    pub(crate) fn new(per_s: u32, burst: u32, users_max: usize) -> Self {
        Self { per_s, burst, users_max: users_max.max(1), users: Mutex::default() }
    }

    fn admit(&self, user: &str) -> Result<(), RestError> {
        let now = Instant::now();
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if !users.contains_key(user) && users.len() >= self.users_max {
            // Half of them at once, so that making room costs little for each.
            let mut times: Vec<Option<Instant>> = users.values().map(TokenBucket::last_taken).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            users.retain(|_, bucket| bucket.last_taken() > median);
        }
        let bucket =
            users.entry(user.to_owned()).or_insert_with(|| TokenBucket::full(self.per_s, self.burst));
        if bucket.take(now) { Ok(()) } else { Err(inbox::too_often().into()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_user_over_the_rate_is_refused_and_others_are_not() {
        let rates = Rates::new(1, 2, 10);
        assert!(rates.admit("ann").is_ok());
        assert!(rates.admit("ann").is_ok());
        assert!(rates.admit("ann").is_err());
        assert!(rates.admit("bob").is_ok());
    }

    #[test]
    fn the_users_kept_count_of_are_bounded() {
        let rates = Rates::new(1, 2, 10);
        for number in 0..1000 {
            assert!(rates.admit(&number.to_string()).is_ok());
        }
        assert!(rates.users.lock().unwrap().len() <= 10);
    }
}
