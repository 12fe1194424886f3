//! Date formats of Mambu. The organisation's time zone is UTC.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Returns the day of an instant in the organisation's time zone.
#[must_use]
pub fn day(instant: Timestamp) -> Date {
    instant.to_zoned(TimeZone::UTC).date()
}

/// Returns the current day in the organisation's time zone.
#[must_use]
pub fn today() -> Date {
    day(Timestamp::now())
}

/// Returns the day of a date-time such as `2016-09-06T13:37:50+03:00`. Returns none without a time or an offset, which
/// Mambu rejects.
#[must_use]
pub fn parse_date_time(text: &str) -> Option<Date> {
    text.parse::<Timestamp>().ok().map(day)
}

/// Returns the day of a plain date such as `2016-09-06`. Returns none for any other length.
#[must_use]
pub fn parse_date(text: &str) -> Option<Date> {
    if text.len() == 10 { text.parse().ok() } else { None }
}

/// Formats a day as a date-time.
#[must_use]
pub fn date_time(day: Date) -> String {
    format!("{day}T00:00:00+00:00")
}

/// Formats an instant as a date-time, to the second.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// Unit of the period between two repayments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodUnit {
    /// Days.
    Days,
    /// Weeks.
    Weeks,
    /// Months.
    Months,
    /// Years.
    Years,
}

impl PeriodUnit {
    /// Parses `DAYS`, `WEEKS`, `MONTHS` or `YEARS`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "DAYS" => Some(Self::Days),
            "WEEKS" => Some(Self::Weeks),
            "MONTHS" => Some(Self::Months),
            "YEARS" => Some(Self::Years),
            _ => None,
        }
    }

    /// Returns the day this number of periods after `day`. In a month that is too short, returns its last day. Returns
    /// none beyond the calendar.
    #[must_use]
    pub fn after(self, day: Date, periods: i64) -> Option<Date> {
        let span = match self {
            Self::Days => Span::new().try_days(periods),
            Self::Weeks => Span::new().try_weeks(periods),
            Self::Months => Span::new().try_months(periods),
            Self::Years => Span::new().try_years(periods),
        };
        span.and_then(|span| day.checked_add(span)).ok()
    }
}
