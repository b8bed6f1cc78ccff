//! Numbers and texts as people read them.

/// A duration in its two largest units: `3d 4h`, `12s`, `5ms`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// A number of bytes with a binary unit: `512 B`, `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    let unit = match count {
        0..1024 => return format!("{count} B"),
        _ => ((count.ilog2() / 10) as usize).min(UNITS.len()),
    };
    let tenths = u128::from(count) * 10 / (1 << (10 * unit));
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit - 1])
}

/// A count with its noun: `1 rule`, `2 rules`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A moment in UTC: `2023-11-14 22:13:20 UTC`.
pub(crate) fn moment(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let day = day(i64::try_from(seconds).unwrap_or(i64::MAX));
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{day} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The day in UTC of a moment in seconds since 1970: `2023-11-14`.
pub(crate) fn day(unix_seconds: i64) -> String {
    let (year, month, day) = date(unix_seconds.div_euclid(86400));
    format!("{year:04}-{month:02}-{day:02}")
}

/// How far a moment is from now, both in seconds since 1970, in the largest unit that fits:
/// `in 61 days`, `now`, `3 hours ago`.
pub(crate) fn distance(moment: i64, now: i64) -> String {
    let seconds = moment.abs_diff(now);
    let words = match seconds {
        0 => return "now".to_owned(),
        1..60 => count(seconds, "second"),
        60..3600 => count(seconds / 60, "minute"),
        3600..86400 => count(seconds / 3600, "hour"),
        _ => count(seconds / 86400, "day"),
    };
    if moment > now { format!("in {words}") } else { format!("{words} ago") }
}

/// The head of a hash, enough to tell graphs apart.
pub(crate) fn short_hash(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Foreign text without what could steer a terminal: control characters other than line feed and
/// tabulator become the replacement character.
pub(crate) fn printable(text: &str) -> String {
    let keep = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if keep(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar, not before
/// March of the year 0.
fn date(days: i64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the leap day ends a year: 146097 days are 400 years.
    let days = u64::try_from(days.saturating_add(719_468)).unwrap_or(0);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_units() {
        for (ms, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (59_999, "59s"),
            (61_000, "1m 1s"),
            (7_380_000, "2h 3m"),
            (273_600_000, "3d 4h"),
        ] {
            assert_eq!(expected, duration(ms));
        }
    }

    #[test]
    fn bytes_show_one_digit_of_their_unit() {
        for (number, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(expected, bytes(number));
        }
    }

    #[test]
    fn moments_follow_the_calendar() {
        for (ms, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_700_000_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_399_000, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(expected, moment(ms));
        }
    }

    #[test]
    fn days_before_1970_are_days_too() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (-1, "1969-12-31"),
            (-2_208_988_800, "1900-01-01"),
            (253_402_300_799, "9999-12-31"),
            (i64::MIN, "0000-03-01"),
        ] {
            assert_eq!(expected, day(seconds));
        }
    }

    #[test]
    fn distances_have_one_unit_and_a_direction() {
        const NOW: i64 = 1_700_000_000;
        for (seconds, expected) in [
            (0, "now"),
            (1, "in 1 second"),
            (-59, "59 seconds ago"),
            (3599, "in 59 minutes"),
            (7200, "in 2 hours"),
            (86_400, "in 1 day"),
            (61 * 86_400 + 7200, "in 61 days"),
            (-3 * 86_400, "3 days ago"),
        ] {
            assert_eq!(expected, distance(NOW + seconds, NOW));
        }
    }

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!("a\u{fffd}[2J\tb\n", printable("a\x1b[2J\tb\n"));
    }
}
