//! Dates as Mambu writes them. The organisation's time is UTC.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The day on which this instant falls in the organisation's time.
#[must_use]
pub fn day(instant: Timestamp) -> Date {
    instant.to_zoned(TimeZone::UTC).date()
}

/// Today, in the organisation's time.
#[must_use]
pub fn today() -> Date {
    day(Timestamp::now())
}

/// The day of a date-time such as `2016-09-06T13:37:50+03:00`. None without a time or an offset: Mambu refuses that.
#[must_use]
pub fn read_date_time(text: &str) -> Option<Date> {
    text.parse::<Timestamp>().ok().map(day)
}

/// The day of a plain date such as `2016-09-06`, and of nothing longer.
#[must_use]
pub fn read_date(text: &str) -> Option<Date> {
    if text.len() == 10 { text.parse().ok() } else { None }
}

/// A day, as a date-time.
#[must_use]
pub fn date_time(day: Date) -> String {
    format!("{day}T00:00:00+00:00")
}

/// An instant, to the second.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// What repayments are apart: a count of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodUnit {
    Days,
    Weeks,
    Months,
    Years,
}

impl PeriodUnit {
    /// `DAYS`, `WEEKS`, `MONTHS`, `YEARS`.
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

    /// The day so many periods after another; where the month is too short, its last day.
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
