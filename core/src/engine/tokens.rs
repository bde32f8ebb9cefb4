//! When another token is asked for: ahead of the expiry of the one there is, or after a refusal.
//!
//! One request at a time: it is over when it is answered, has failed, or nobody has answered in time. The first after
//! a refusal goes out at once, those after it ever later until a session opens.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Engine;
use super::backoff::{Backoff, next_random};
use super::io::{ConnectionState, Event, Now};
use super::trace::TraceKind;
use crate::config::Settings;
use crate::error::{Code, Error};

/// The longest token of which the expiry is looked for, in bytes.
const JWT_BYTES_MAX: usize = 64 << 10;

/// Numbers the requests for a token, so that a late failure of an old one is told apart.
pub(super) type TokenRequestId = u64;

#[derive(Debug)]
struct Pending {
    request: TokenRequestId,
    deadline_us: u64,
}

#[derive(Debug)]
pub(super) struct Tokens {
    settings: Settings,
    /// When the token ends, on the wall clock.
    expires_at_ms: Option<u64>,
    /// How far ahead of its end it is replaced: the setting, and up to half of that again, so that clients which got
    /// their tokens together do not ask together.
    ahead_ms: u64,
    pending: Option<Pending>,
    last_request: TokenRequestId,
    backoff: Backoff,
    /// No request goes out before, on the monotonic clock.
    not_before_us: u64,
    /// Whether the provider said that it has none: only the app can change that.
    signed_out: bool,
    /// When to look again whether the token is about to end.
    check_at_us: Option<u64>,
    random: u64,
}

impl Tokens {
    pub(super) fn new(settings: &Settings, token: Option<&str>, seed: u64) -> Self {
        let backoff = Backoff::new(settings.token_retry_delay_ms, settings.token_retry_delay_ms_max, seed);
        let mut tokens = Self {
            settings: settings.clone(),
            expires_at_ms: None,
            ahead_ms: 0,
            pending: None,
            last_request: 0,
            backoff,
            not_before_us: 0,
            signed_out: false,
            check_at_us: None,
            random: seed,
        };
        tokens.take(token, None);
        tokens
    }

    fn take(&mut self, token: Option<&str>, expires_at_ms: Option<u64>) {
        let ahead_ms = self.settings.token_refresh_ahead_ms;
        self.expires_at_ms = token.and_then(|token| expires_at_ms.or_else(|| expiry_ms(token)));
        self.ahead_ms = ahead_ms.saturating_add(next_random(&mut self.random) % (ahead_ms / 2 + 1));
        self.check_at_us = None;
    }

    /// The app gave a token, asked or not, or took it away.
    pub(super) fn handle_token(&mut self, token: Option<&str>, expires_at_ms: Option<u64>, now: Now) {
        if self.pending.take().is_some() {
            // A token that is not accepted, or already about to end, is not replaced in a loop.
            self.not_before_us = now.after_ms(self.backoff.next_delay_ms());
        }
        self.signed_out = token.is_none();
        self.take(token, expires_at_ms);
    }

    /// The provider failed. Returns whether it was about the request that is under way.
    pub(super) fn handle_failed(
        &mut self,
        request: Option<TokenRequestId>,
        retryable: bool,
        now: Now,
    ) -> bool {
        let current = self
            .pending
            .as_ref()
            .is_some_and(|pending| request.is_none_or(|request| request == pending.request));
        if current {
            self.pending = None;
            self.signed_out = !retryable;
            self.not_before_us = now.after_ms(self.backoff.next_delay_ms());
        }
        current
    }

    /// A session is open with the token: the next request goes out at once.
    pub(super) fn handle_accepted(&mut self, now: Now) {
        let ends_soon = self.refresh_at_ms().is_some_and(|at_ms| at_ms <= now.wall_ms);
        if !ends_soon {
            self.reset();
        }
    }

    /// The app asks for a connection.
    pub(super) fn reset(&mut self) {
        self.backoff.reset();
        self.not_before_us = 0;
        self.signed_out = false;
    }

    /// Nobody wants a connection any more.
    pub(super) fn cancel(&mut self) {
        self.pending = None;
        self.check_at_us = None;
        self.reset();
    }

    fn refresh_at_ms(&self) -> Option<u64> {
        self.expires_at_ms.map(|at_ms| at_ms.saturating_sub(self.ahead_ms))
    }

    /// The number of a request to be made now, if one is.
    ///
    /// `refused` tells that there is no way on without another token, `used` that the one there is opens a session or
    /// is about to.
    fn poll(&mut self, refused: bool, used: bool, now: Now) -> Option<TokenRequestId> {
        self.check_at_us = None;
        if let Some(late) = self.pending.take_if(|pending| pending.deadline_us <= now.mono_us) {
            let delay_us = self.backoff.next_delay_ms().saturating_mul(1000);
            self.not_before_us = late.deadline_us.saturating_add(delay_us);
        }
        if !refused && !used || self.signed_out {
            return None;
        }
        if let Some(pending) = &self.pending {
            self.check_at_us = Some(pending.deadline_us);
            return None;
        }
        if !refused {
            let wait_ms = self.refresh_at_ms()?.saturating_sub(now.wall_ms);
            if wait_ms > 0 {
                self.check_at_us = Some(now.after_ms(wait_ms));
                return None;
            }
        }
        if self.not_before_us > now.mono_us {
            self.check_at_us = Some(self.not_before_us);
            return None;
        }
        self.last_request += 1;
        let deadline_us = now.after_ms(self.settings.token_timeout_ms);
        self.pending = Some(Pending { request: self.last_request, deadline_us });
        self.check_at_us = Some(deadline_us);
        Some(self.last_request)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.check_at_us
    }
}

impl Engine {
    /// Asks for another token if one is needed. Called at the end of each turn.
    pub(super) fn keep_token_fresh(&mut self, now: Now) {
        let by_jobs = self.drain.needs_token();
        let by_session = self.session.needs_token();
        let used = matches!(self.session.state(), ConnectionState::Open | ConnectionState::Connecting);
        let Some(request) = self.tokens.poll(by_session || by_jobs, used, now) else { return };
        let otherwise = || match by_jobs {
            true => Error::new(Code::Unauthorized, "the token was refused where a queued job goes"),
            false => Error::new(Code::Unauthorized, "the token is about to expire"),
        };
        let reason = self.session.reason().filter(|_| by_session).cloned().unwrap_or_else(otherwise);
        self.trace(now, TraceKind::TokenNeeded, format_args!("request {request}: {}", reason.code.as_str()));
        self.notices.push(Event::TokenNeeded { reason: reason.into(), request });
    }
}

/// Refuses a token that no header can carry, as one with the line break of the file that it was read from: requests could not be
/// sent with it.
pub(crate) fn check_token(token: &str) -> Result<(), Error> {
    if token.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(Error::new(Code::Invalid, "the token holds a line break or another control character"));
    }
    Ok(())
}

/// Whether both are JSON Web Tokens of one user. Nothing is verified, but both come from the app, which would have to
/// deceive itself.
pub(super) fn are_of_one_user(first: &str, second: &str) -> bool {
    #[derive(PartialEq, Deserialize)]
    struct User {
        #[serde(default)]
        iss: Option<String>,
        sub: String,
    }
    let (first, second) = (claims::<User>(first), claims::<User>(second));
    first.is_some() && first == second
}

/// When a JSON Web Token ends, in milliseconds since the epoch. Nothing is verified: the server does that, and all that
/// depends on it here is when to ask for the next.
fn expiry_ms(token: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let Claims { exp } = claims(token)?;
    // Years that no date has are no expiry.
    let is_a_time = exp.is_finite() && (0.0..1e12).contains(&exp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    is_a_time.then_some((exp * 1000.0) as u64)
}

/// What a JSON Web Token says.
fn claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    if token.len() > JWT_BYTES_MAX {
        return None;
    }
    let mut parts = token.split('.');
    let (Some(_header), Some(claims), Some(_signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_str(std::str::from_utf8(&claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("{}.{}.sig", BASE64_URL_SAFE_NO_PAD.encode("{}"), BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_expiry_of_a_json_web_token_is_read() {
        assert_eq!(expiry_ms(&jwt(r#"{"sub":"ada","exp":1700000000}"#)), Some(1_700_000_000_000));
        assert_eq!(expiry_ms(&jwt(r#"{"exp":1700000000.5}"#)), Some(1_700_000_000_500));
    }

    #[test]
    fn tokens_are_of_one_user_if_both_name_the_same() {
        let ada = jwt(r#"{"sub":"ada","exp":1}"#);
        assert!(are_of_one_user(&ada, &jwt(r#"{"sub":"ada","exp":2}"#)));
        for other in [r#"{"sub":"eve"}"#, r#"{"iss":"elsewhere","sub":"ada"}"#, "{}", r#"{"sub":7}"#] {
            assert!(!are_of_one_user(&ada, &jwt(other)), "{other}");
        }
        assert!(!are_of_one_user("opaque", "opaque"));
    }

    #[test]
    fn what_is_no_json_web_token_has_no_known_expiry() {
        let long = jwt(&format!(r#"{{"exp":1700000000,"pad":"{}"}}"#, "x".repeat(JWT_BYTES_MAX)));
        let others = [
            "opaque".to_owned(),
            "a.b.c".to_owned(),
            "a.b.c.d".to_owned(),
            "..".to_owned(),
            jwt("{}"),
            jwt(r#"{"exp":"soon"}"#),
            jwt(r#"{"exp":-1}"#),
            jwt(r#"{"exp":1e300}"#),
            jwt("not JSON"),
            long,
        ];
        for token in others {
            assert_eq!(expiry_ms(&token), None, "{token:.60}");
        }
    }
}
