//! Dates in HTTP headers, and the advice in `Retry-After` that may be one.

use std::time::UNIX_EPOCH;

/// Seconds, or a date: how far that is from now, in milliseconds. Of a date nothing is known without a clock.
pub(crate) fn retry_after_ms(value: &str, now_ms: Option<u64>) -> Option<u64> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(seconds.saturating_mul(1000)),
        Err(_) => Some(parse_ms(value)?.saturating_sub(now_ms?)),
    }
}

/// A date in any of the three forms of RFC 9110, in milliseconds since the epoch.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since_epoch.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_counted_in_days_of_the_calendar() {
        assert_eq!(parse_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_ms("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse_ms("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000_000));
        assert_eq!(parse_ms("Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse_ms("Sun Nov  6 08:49:37 1994"), Some(784_111_777_000));
    }

    #[test]
    fn advice_that_is_a_date_needs_a_clock_and_seconds_need_none() {
        assert_eq!(retry_after_ms(" 7 ", None), Some(7_000));
        assert_eq!(retry_after_ms("Thu, 01 Jan 1970 00:00:09 GMT", Some(2_000)), Some(7_000));
        assert_eq!(retry_after_ms("Thu, 01 Jan 1970 00:00:09 GMT", Some(20_000)), Some(0));
        assert_eq!(retry_after_ms("Thu, 01 Jan 1970 00:00:09 GMT", None), None);
        assert_eq!(retry_after_ms("tomorrow", Some(0)), None);
    }
}
