//! What a failed attempt means: its category, whether it uses up an attempt, and when the next one may be made.

use syncline_protocol::WireError;

use crate::engine::backoff::next_random;
use crate::error::{Code, Error, RETRY_AFTER_MS_MAX};
use crate::job::{Category, JobError};

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub error: JobError,
    /// The advice that came with it, at most [`RETRY_AFTER_MS_MAX`].
    pub retry_after_ms: Option<u64>,
    /// Whether it uses up an attempt, if its category does at all. One that comes with advice never does.
    pub counts: bool,
}

impl Failure {
    pub fn new(category: Category, code: &str, message: &str) -> Self {
        Self { error: JobError::new(category, code, message), retry_after_ms: None, counts: true }
    }

    pub fn network(error: &Error) -> Self {
        Self::new(Category::Network, error.code.as_str(), &error.message)
    }

    #[must_use]
    pub fn with_advice(mut self, retry_after_ms: Option<u64>) -> Self {
        self.retry_after_ms = retry_after_ms.map(|ms| ms.min(RETRY_AFTER_MS_MAX));
        self
    }

    pub fn uses_up_an_attempt(&self) -> bool {
        let is_blamed = self.counts && self.retry_after_ms.is_none();
        is_blamed && !matches!(self.error.category, Category::Network | Category::Auth)
    }

    /// What an answer `{error: {code, message, retry_after_ms?}}` means.
    pub fn of_answer(code: &str, message: &str, retry_after_ms: Option<u64>) -> Self {
        let wire = syncline_protocol::ErrorCode::from_wire(code);
        let known = wire.map(|code| Error::from(WireError::new(code, "")).code);
        let category = match known {
            Some(Code::Unauthorized | Code::NoAuthToken) => Category::Auth,
            Some(Code::Conflict) => Category::Conflict,
            Some(Code::RateLimited | Code::Unavailable | Code::Internal) => Category::Server,
            // A backend that names an error means this event.
            _ => Category::Validation,
        };
        let counts = known != Some(Code::RateLimited);
        Self { counts, ..Self::new(category, code, message).with_advice(retry_after_ms) }
    }
}

/// How long a lane waits after so many failures in a row: anything between nothing and a ceiling that doubles, so
/// that clients which failed together come back apart.
///
/// Source: "full jitter" in Brooker, "Exponential Backoff And Jitter", 2015.
pub fn delay_ms(failures: u32, delay_ms_min: u64, delay_ms_max: u64, random: &mut u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(u64::BITS - 1);
    let ceiling = delay_ms_min.saturating_mul(1 << doublings).min(delay_ms_max.max(delay_ms_min));
    next_random(random) % (ceiling.saturating_add(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_anything_up_to_a_ceiling_that_doubles() {
        let mut random = 7;
        for (failures, ceiling) in [(1, 1_000), (2, 2_000), (3, 4_000), (7, 60_000), (99, 60_000)] {
            let delays: Vec<u64> = (0..200).map(|_| delay_ms(failures, 1_000, 60_000, &mut random)).collect();
            assert!(delays.iter().all(|delay| *delay <= ceiling), "{failures}");
            assert!(delays.iter().any(|delay| *delay < ceiling / 4), "{failures}");
            assert!(delays.iter().any(|delay| *delay > ceiling / 2), "{failures}");
        }
        assert_eq!(delay_ms(1, 0, 0, &mut random), 0);
        delay_ms(u32::MAX, u64::MAX, u64::MAX, &mut random);
    }

    #[test]
    fn only_what_the_job_can_be_blamed_for_uses_up_an_attempt() {
        let counted = |category| Failure::new(category, "x", "").uses_up_an_attempt();
        assert!(!counted(Category::Network) && !counted(Category::Auth));
        assert!(counted(Category::Server) && counted(Category::Conflict) && counted(Category::Unknown));
        assert!(!Failure::of_answer("rate_limited", "", None).uses_up_an_attempt());
        let later = |code| Failure::of_answer(code, "", Some(5_000)).uses_up_an_attempt();
        assert!(!later("unavailable") && !later("conflict") && !later("internal"));
    }

    #[test]
    fn an_answer_with_an_error_is_read_by_its_code() {
        let category = |code| Failure::of_answer(code, "", None).error.category;
        assert_eq!(category("unauthorized"), Category::Auth);
        assert_eq!(category("unavailable"), Category::Server);
        assert_eq!(category("conflict"), Category::Conflict);
        assert_eq!(category("invalid"), Category::Validation);
        assert_eq!(category("out_of_stock"), Category::Validation);
    }

    #[test]
    fn advice_and_texts_from_elsewhere_are_cut() {
        let failure = Failure::new(Category::Server, &"ü".repeat(99), &"x".repeat(9_999));
        assert!(failure.error.code.len() <= crate::job::CODE_BYTES_MAX && failure.error.byte_len() < 2_000);
        assert_eq!(failure.with_advice(Some(u64::MAX)).retry_after_ms, Some(RETRY_AFTER_MS_MAX));
    }
}
