//! Freeze windows: times in which nothing is to be changed. Any program can ask one; [`guard`](crate::guard) does.
//!
//! Times are local times of a time zone of the IANA database, which is part of the program, so that the same file means
//! the same everywhere. Where a clock change makes a time exist twice or not at all, the window is the longer one.

use jiff::{
    Timestamp, Zoned,
    civil::{Date, DateTime, Time, Weekday},
    tz::{Disambiguation, TimeZone, TimeZoneDatabase},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Day::Mon => Weekday::Monday,
            Day::Tue => Weekday::Tuesday,
            Day::Wed => Weekday::Wednesday,
            Day::Thu => Weekday::Thursday,
            Day::Fri => Weekday::Friday,
            Day::Sat => Weekday::Saturday,
            Day::Sun => Weekday::Sunday,
        }
    }
}

/// Times in which nothing is to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Freeze {
    /// What people call it.
    pub name: String,
    zone: TimeZone,
    when: When,
}

#[derive(Clone, Debug, PartialEq)]
enum When {
    /// On each of these days; over midnight where `to` is not after `from`.
    Weekly { days: Vec<Day>, from: Time, to: Time },
    /// Once.
    Once { from: DateTime, to: DateTime },
}

/// What is wrong with a freeze window, by the field that has to be mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct FreezeError {
    /// `zone`, `from`, `to` or `days`.
    pub field: &'static str,
    /// What is wrong.
    pub why: String,
}

fn wrong(field: &'static str, why: impl Into<String>) -> FreezeError {
    FreezeError { field, why: why.into() }
}

impl Freeze {
    /// With `days`, each week: `from` and `to` are times like `18:00`, and without them it is the whole day. Without
    /// `days`, once: `from` and `to` are like `2026-12-20T18:00`.
    ///
    /// # Errors
    /// [`FreezeError`]: the zone is unknown, or the times are none.
    pub fn new(
        name: impl Into<String>,
        zone: &str,
        days: &[Day],
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Self, FreezeError> {
        let zone = TimeZoneDatabase::bundled()
            .get(zone)
            .map_err(|_| wrong("zone", format!("`{zone}` is no time zone of the IANA database")))?;
        let when = match (days, from, to) {
            ([], Some(from), Some(to)) => {
                let (from, to) = (moment("from", from)?, moment("to", to)?);
                if to <= from {
                    return Err(wrong("to", "a freeze cannot end before it begins"));
                }
                When::Once { from, to }
            }
            ([], _, _) => {
                return Err(wrong("days", "a freeze has `days`, or a date and time in `from` and in `to`"));
            }
            (days, None, None) => {
                When::Weekly { days: days.to_vec(), from: Time::midnight(), to: Time::midnight() }
            }
            (days, Some(from), Some(to)) => {
                When::Weekly { days: days.to_vec(), from: time("from", from)?, to: time("to", to)? }
            }
            (_, Some(_), None) => return Err(wrong("from", "`from` needs a `to`")),
            (_, None, Some(_)) => return Err(wrong("to", "`to` needs a `from`")),
        };
        Ok(Freeze { name: name.into(), zone, when })
    }

    /// Until when nothing is to be changed, if that is so at `now`. A window that the next one follows without a gap
    /// ends with that one; one without an end is told as a week from now.
    pub fn until(&self, now: Timestamp) -> Option<Zoned> {
        let mut until = self.end(now)?;
        for _ in 0..7 {
            match self.end(until) {
                Some(later) if later > until => until = later,
                _ => break,
            }
        }
        Some(until.to_zoned(self.zone.clone()))
    }

    /// The end of the window that `now` is in.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let within = |(start, end): (Timestamp, Timestamp)| (start <= now && now < end).then_some(end);
        match &self.when {
            When::Once { from, to } => within(self.span(*from, *to)?),
            When::Weekly { days, from, to } => {
                let today = now.to_zoned(self.zone.clone()).date();
                // Yesterday's goes on over midnight; tomorrow's begins today where midnight does not exist.
                let near = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
                let begins = |date: &Date| days.iter().any(|d| d.weekday() == date.weekday());
                let spans = near.into_iter().flatten().filter(begins).filter_map(|date| {
                    let last = if to <= from { date.tomorrow().ok()? } else { date };
                    self.span(date.to_datetime(*from), last.to_datetime(*to))
                });
                spans.filter_map(within).max()
            }
        }
    }

    /// The longer one, where the clocks change.
    fn span(&self, from: DateTime, to: DateTime) -> Option<(Timestamp, Timestamp)> {
        let at = |time: DateTime, how| {
            let zoned = self.zone.to_ambiguous_zoned(time).disambiguate(how).ok()?;
            Some(zoned.timestamp())
        };
        Some((at(from, Disambiguation::Earlier)?, at(to, Disambiguation::Later)?))
    }
}

fn time(field: &'static str, text: &str) -> Result<Time, FreezeError> {
    let shape = text.len() >= 5 && text.as_bytes().get(2) == Some(&b':');
    let time = text.parse().ok().filter(|_| shape);
    time.ok_or_else(|| wrong(field, format!("`{text}` is no time of day: write it like `18:00`")))
}

fn moment(field: &'static str, text: &str) -> Result<DateTime, FreezeError> {
    let shape = text.len() >= 16 && text.is_ascii() && !text.ends_with('Z') && !text.contains(['+', '[']);
    let moment = text.parse().ok().filter(|_| shape);
    let why =
        || format!("`{text}` is no date and time: write it like `2026-12-20T18:00`, in the time of `zone`");
    moment.ok_or_else(|| wrong(field, why()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn until(freeze: &Freeze, now: &str) -> Option<String> {
        freeze.until(at(now)).map(|z| z.strftime("%Y-%m-%d %H:%M").to_string())
    }

    fn weekly(zone: &str, days: &[Day], from: &str, to: &str) -> Freeze {
        Freeze::new("f", zone, days, Some(from), Some(to)).unwrap()
    }

    #[test]
    fn whole_days_follow_each_other() {
        let weekend = Freeze::new("weekend", "Europe/Berlin", &[Day::Sat, Day::Sun], None, None).unwrap();
        // Friday, 23:59 in Berlin.
        assert_eq!(until(&weekend, "2026-11-20T22:59:00Z"), None);
        assert_eq!(until(&weekend, "2026-11-20T23:00:00Z").unwrap(), "2026-11-23 00:00");
        assert_eq!(until(&weekend, "2026-11-22T22:59:59Z").unwrap(), "2026-11-23 00:00");
        assert_eq!(until(&weekend, "2026-11-22T23:00:00Z"), None);
    }

    #[test]
    fn a_window_goes_over_midnight_and_belongs_to_the_day_on_which_it_begins() {
        let night = weekly("America/New_York", &[Day::Fri], "18:00", "08:00");
        assert_eq!(until(&night, "2026-11-20T22:59:00Z"), None);
        assert_eq!(until(&night, "2026-11-20T23:00:00Z").unwrap(), "2026-11-21 08:00");
        assert_eq!(until(&night, "2026-11-21T12:59:00Z").unwrap(), "2026-11-21 08:00");
        assert_eq!(until(&night, "2026-11-21T13:00:00Z"), None);
        // Friday morning is not after a Thursday evening that freezes.
        assert_eq!(until(&night, "2026-11-20T12:00:00Z"), None);
    }

    #[test]
    fn a_time_that_does_not_exist_makes_the_window_longer() {
        // In New York 02:30 does not exist on 2026-03-08: the clocks go from 02:00 to 03:00 at 07:00Z.
        let from = weekly("America/New_York", &[Day::Sun], "02:30", "05:00");
        assert_eq!(until(&from, "2026-03-08T06:29:00Z"), None);
        assert_eq!(until(&from, "2026-03-08T06:30:00Z").unwrap(), "2026-03-08 05:00");
        let to = weekly("America/New_York", &[Day::Sun], "00:00", "02:30");
        assert_eq!(until(&to, "2026-03-08T07:29:00Z").unwrap(), "2026-03-08 03:30");
        assert_eq!(until(&to, "2026-03-08T07:30:00Z"), None);
    }

    #[test]
    fn a_time_that_exists_twice_makes_the_window_longer() {
        // In New York 01:30 exists twice on 2026-11-01: at 05:30Z and at 06:30Z.
        let from = weekly("America/New_York", &[Day::Sun], "01:30", "05:00");
        assert!(
            until(&from, "2026-11-01T05:29:00Z").is_none() && until(&from, "2026-11-01T05:30:00Z").is_some()
        );
        let to = weekly("America/New_York", &[Day::Sun], "00:00", "01:30");
        assert!(until(&to, "2026-11-01T06:29:00Z").is_some() && until(&to, "2026-11-01T06:30:00Z").is_none());
    }

    #[test]
    fn a_day_that_begins_without_a_midnight_is_frozen_from_its_start() {
        // In Cairo the clocks went from 00:00 to 01:00 on Friday, 2024-04-26.
        let friday = Freeze::new("f", "Africa/Cairo", &[Day::Fri], None, None).unwrap();
        assert!(until(&friday, "2024-04-25T22:00:00Z").is_some(), "01:00 on Friday, its first moment");
        assert_eq!(until(&friday, "2024-04-26T20:59:00Z").unwrap(), "2024-04-27 00:00");
        assert_eq!(until(&friday, "2024-04-26T21:00:00Z"), None);
    }

    #[test]
    fn a_dated_window_is_there_once() {
        let year = Freeze::new("y", "Asia/Kolkata", &[], Some("2026-12-20T18:00"), Some("2027-01-04T08:00"))
            .unwrap();
        assert_eq!(until(&year, "2026-12-20T12:29:00Z"), None);
        assert_eq!(until(&year, "2026-12-20T12:30:00Z").unwrap(), "2027-01-04 08:00");
        assert_eq!(until(&year, "2027-01-04T02:30:00Z"), None);
    }

    #[test]
    fn what_never_ends_is_told_with_some_end() {
        let all = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
        let always = Freeze::new("f", "UTC", &all, None, None).unwrap();
        assert_eq!(until(&always, "2026-11-20T12:00:00Z").unwrap(), "2026-11-28 00:00");
    }

    #[test]
    fn what_makes_no_window_is_told_by_field() {
        let field = |zone, days: &[Day], from, to| Freeze::new("f", zone, days, from, to).unwrap_err().field;
        assert_eq!(field("Europe/Belrin", &[Day::Sat], None, None), "zone");
        assert_eq!(field("UTC", &[], None, None), "days");
        assert_eq!(field("UTC", &[Day::Sat], Some("18:00"), None), "from");
        assert_eq!(field("UTC", &[Day::Sat], None, Some("18:00")), "to");
        assert_eq!(field("UTC", &[Day::Sat], Some("6 pm"), Some("08:00")), "from");
        assert_eq!(field("UTC", &[Day::Sat], Some("18:00"), Some("25:00")), "to");
        assert_eq!(field("UTC", &[], Some("2026-12-20"), Some("2027-01-04T08:00")), "from");
        assert_eq!(field("UTC", &[], Some("2026-12-20T18:00"), Some("2027-01-04T08:00Z")), "to");
        assert_eq!(field("UTC", &[], Some("2026-12-20T18:00"), Some("2026-12-20T18:00")), "to");
    }
}
