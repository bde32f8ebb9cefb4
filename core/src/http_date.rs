//! Dates in HTTP headers, and the advice in `Retry-After` that may be one.

/// Seconds, or a date: how far that is from now, in milliseconds. Of a date nothing is known without a clock.
pub(crate) fn retry_after_ms(value: &str, now_ms: Option<u64>) -> Option<u64> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(seconds.saturating_mul(1000)),
        Err(_) => Some(parse_ms(value)?.saturating_sub(now_ms?)),
    }
}

/// A date as servers write it today, `Sun, 06 Nov 1994 08:49:37 GMT`, in milliseconds since the epoch.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock =
        parts.next()?.splitn(3, ':').map(|part| part.parse::<u64>().ok().filter(|part| *part <= 60));
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    if parts.next() != Some("GMT") {
        return None;
    }
    // Days since the epoch, counted in years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = (year * 365 + leap_days + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)?;
    Some((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_counted_in_days_of_the_calendar() {
        assert_eq!(parse_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_ms("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse_ms("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000_000));
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
