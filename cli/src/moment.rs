//! Times as people write and read them.

use flow_history::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};

/// The zone in which times are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Zone {
    Utc,
    Local,
}

/// A log time in a zone, in a form that a selector takes back: `2026-11-22T10:00:07Z`.
pub(crate) fn shown(millis: i64, zone: Zone) -> String {
    let Ok(time) = jiff::Timestamp::from_millisecond(millis) else { return format!("{millis} ms") };
    match zone {
        Zone::Utc => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Zone::Local => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

/// A log time by RFC 3339, to the millisecond.
pub(crate) fn rfc3339(millis: i64) -> String {
    with_offset(millis, Offset::UTC).replace("+00:00", "Z")
}

/// A host's time by RFC 3339, to the millisecond, in the zone that the host told.
pub(crate) fn host_rfc3339(time: Timestamp) -> String {
    let offset = Offset::from_seconds(i32::from(time.zone_minutes) * 60).unwrap_or(Offset::UTC);
    with_offset(time.millis, offset)
}

fn with_offset(millis: i64, offset: Offset) -> String {
    let Ok(time) = jiff::Timestamp::from_millisecond(millis) else { return format!("{millis} ms") };
    time.to_zoned(TimeZone::fixed(offset)).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// Reads a time with its zone, as an import finds it: `2024-09-09T09:17:31-05:00`.
pub(crate) fn parse_with_zone(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let offset = Pieces::parse(text).ok()?.to_numeric_offset().unwrap_or(Offset::UTC);
    let zone_minutes = i16::try_from(offset.seconds() / 60).ok()?;
    let mut read = Timestamp::from_millis(time.as_millisecond());
    read.zone_minutes = zone_minutes;
    Some(read)
}

/// Reads a time that selects a version. What the text leaves out is filled to its end: a date means the end of the day,
/// a minute the end of that minute, so that a time copied from the log selects what stood beside it.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim().replacen(' ', "T", 1);
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_millis(time.as_millisecond().checked_add(left_out(&text))?));
    }
    // `Date` would read the date of any longer text.
    if !text.contains('T') {
        let date: Date = text.parse().ok()?;
        return local(date.at(23, 59, 59, 999_000_000));
    }
    let time: DateTime = text.parse().ok()?;
    let time = local(time)?;
    Some(Timestamp::from_millis(time.millis.checked_add(left_out(&text))?))
}

/// The same for what begins with a time: what the text leaves out is its beginning.
pub(crate) fn parse_beginning(text: &str) -> Option<Timestamp> {
    let text = text.trim().replacen(' ', "T", 1);
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_millis(time.as_millisecond()));
    }
    if !text.contains('T') {
        let date: Date = text.parse().ok()?;
        return local(date.at(0, 0, 0, 0));
    }
    local(text.parse().ok()?)
}

/// Milliseconds to the end of the smallest unit that the text names.
fn left_out(text: &str) -> i64 {
    let time = text.split_once('T').map_or("", |(_, time)| time);
    let time = time.split(['Z', 'z', '+', '-', '[']).next().unwrap_or_default();
    match (time.contains(['.', ',']), time.matches(':').count()) {
        (true, _) => 0,
        (false, 0) => 3_599_999,
        (false, 1) => 59_999,
        (false, _) => 999,
    }
}

fn local(time: DateTime) -> Option<Timestamp> {
    let time = time.to_zoned(TimeZone::system()).ok()?;
    Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_copied_from_the_log_selects_what_stood_beside_it() {
        for millis in [0, 1_732_269_607_123, 1_732_269_607_999] {
            for zone in [Zone::Utc, Zone::Local] {
                let read = parse(&shown(millis, zone)).unwrap().millis;
                assert!(read >= millis && read - millis < 1_000, "{}", shown(millis, zone));
            }
            assert_eq!(parse(&rfc3339(millis)).unwrap().millis, millis);
        }
    }

    #[test]
    fn what_a_text_leaves_out_is_filled_to_its_end() {
        let minute = parse("2026-11-22T10:00Z").unwrap().millis;
        assert_eq!(rfc3339(minute), "2026-11-22T10:00:59.999Z");
        let second = parse("2026-11-22 10:00:07+01:00").unwrap().millis;
        assert_eq!(rfc3339(second), "2026-11-22T09:00:07.999Z");
        assert!(parse("2026-11-22").is_some());
        let (begins, ends) =
            (parse_beginning("2026-11-22").unwrap().millis, parse("2026-11-22").unwrap().millis);
        assert_eq!(ends - begins, 86_399_999, "no zone changes its clocks that night");
        let second = parse_beginning("2026-11-22 10:00:07+01:00").unwrap().millis;
        assert_eq!(rfc3339(second), "2026-11-22T09:00:07.000Z");
        for text in ["", "released", "42", "2026-13-01", "2026-11-22T25:00"] {
            assert_eq!((parse(text), parse_beginning(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn an_import_keeps_the_zone() {
        let time = parse_with_zone("2024-09-09T09:17:31-05:00").unwrap();
        assert_eq!(time.zone_minutes, -300);
        assert_eq!(host_rfc3339(time), "2024-09-09T09:17:31.000-05:00");
        assert_eq!(rfc3339(time.millis), "2024-09-09T14:17:31.000Z");
        assert_eq!(parse_with_zone("2024-09-09"), None);
    }
}
