//! Hours of the day in which calls may be made.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Time};

/// A daily range of hours. It crosses midnight if its end is before its beginning.
#[derive(Clone, Debug)]
pub struct CallHours {
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl CallHours {
    /// Parses a range such as `22:00-06:00` in a time zone.
    pub fn parse(text: &str, zone: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
        let (from, to) = (time(from)?, time(to)?);
        (from != to).then_some(Self { from, to, zone: TimeZone::get(zone).ok()? })
    }

    /// Returns the time until calls may be made; none if they may be made now.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let now = now.to_zoned(self.zone.clone());
        let time = now.time();
        let open =
            if self.from < self.to { self.from <= time && time < self.to } else { time >= self.from || time < self.to };
        if open {
            return None;
        }
        let today = now.date().to_datetime(self.from).to_zoned(self.zone.clone()).ok()?;
        let next = if today > now { today } else { today.tomorrow().ok()? };
        Duration::try_from(next.timestamp().duration_since(now.timestamp())).ok()
    }

    /// Returns the number of hours of a day in which calls may be made.
    pub fn length(&self) -> f64 {
        let seconds = |time: Time| f64::from(time.hour()) * 3_600.0 + f64::from(time.minute()) * 60.0;
        (seconds(self.to) - seconds(self.from)).rem_euclid(86_400.0) / 3_600.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_until_they_begin() {
        let cases = [
            ("22:00-06:00", "UTC", "2026-03-01T21:30:00Z", Some(1_800)),
            ("22:00-06:00", "UTC", "2026-03-01T22:00:00Z", None),
            ("22:00-06:00", "UTC", "2026-03-01T05:59:59Z", None),
            ("22:00-06:00", "UTC", "2026-03-01T06:00:00Z", Some(16 * 3_600)),
            ("08:00-12:00", "Europe/Prague", "2026-07-01T06:30:00Z", None),
            ("08:00-12:00", "Europe/Prague", "2026-07-01T10:00:00Z", Some(20 * 3_600)),
        ];
        for (hours, zone, now, wait) in cases {
            let hours = CallHours::parse(hours, zone).unwrap();
            assert_eq!(hours.wait(now.parse().unwrap()), wait.map(Duration::from_secs), "{now}");
        }
        assert!((CallHours::parse("22:00-06:30", "UTC").unwrap().length() - 8.5).abs() < 1e-9);
        for text in ["22:00", "22-6", "08:00-08:00", "25:00-01:00"] {
            assert!(CallHours::parse(text, "UTC").is_none(), "{text}");
        }
    }
}
