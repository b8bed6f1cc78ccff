//! Durations and sizes, always with their unit.

use std::fmt;

use super::{Explain, plain_number};

/// A length of time: more than nothing, at most ten years, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    milliseconds: u64,
}

impl Duration {
    /// Parses `250ms`, `30s`, `5m`, `12h` or `30d`: one whole number and one unit.
    ///
    /// # Errors
    /// Says what is missing or unknown, or that the value is zero or above 3650 days.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let (number, unit) = split(text);
        let Some(number) = plain_number::<u64>(number) else {
            return Err(DurationError::NotANumber);
        };
        if unit.is_empty() {
            return Err(DurationError::NoUnit(number));
        }
        let Some(&(_, factor)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit(unit.to_owned()));
        };
        match number.checked_mul(factor) {
            Some(0) => Err(DurationError::Zero),
            Some(milliseconds) if milliseconds <= LONGEST => Ok(Self { milliseconds }),
            _ => Err(DurationError::TooLong),
        }
    }

    /// The same length for the standard library.
    pub fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.milliseconds)
    }
}

/// The largest unit that divides the value; parses back to the same value.
impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_largest(out, self.milliseconds, DURATIONS)
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// It does not start with a whole number.
    NotANumber,
    /// The number stands alone.
    NoUnit(u64),
    /// The unit is not one of time.
    UnknownUnit(String),
    /// Zero, which as a limit would mean either never or always.
    Zero,
    /// More than ten years.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => out.write_str("a duration starts with a whole number"),
            Self::NoUnit(number) => write!(out, "the duration `{number}` has no unit"),
            Self::UnknownUnit(unit) => write!(out, "`{unit}` is not a unit of time"),
            Self::Zero => out.write_str("a duration of zero is not useful"),
            Self::TooLong => out.write_str("a duration is at most `3650d`"),
        }
    }
}

impl Explain for DurationError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoUnit(number) => {
                format!("write `{number}s` for seconds, `{number}ms` for milliseconds")
            }
            Self::Zero => "leave the key out to get the default".to_owned(),
            _ => "durations are written `250ms`, `30s`, `5m`, `12h` or `30d`".to_owned(),
        })
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize {
    bytes: u64,
}

impl ByteSize {
    /// A size from a number of bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// Parses `512B`, `64KiB`, `8MiB`, `1GiB` or `1TiB`: one whole number and one unit.
    ///
    /// # Errors
    /// Says what is missing or unknown, or that the value does not fit 64 bits.
    pub fn parse(text: &str) -> Result<Self, ByteSizeError> {
        let (number, unit) = split(text);
        let Some(number) = plain_number::<u64>(number) else {
            return Err(ByteSizeError::NotANumber);
        };
        if unit.is_empty() {
            return Err(ByteSizeError::NoUnit(number));
        }
        let Some(&(_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
            return Err(ByteSizeError::UnknownUnit(unit.to_owned()));
        };
        let bytes = number.checked_mul(factor).ok_or(ByteSizeError::TooLarge)?;
        Ok(Self { bytes })
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

/// The largest unit that divides the value; parses back to the same value.
impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_largest(out, self.bytes, SIZES)
    }
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteSizeError {
    /// It does not start with a whole number.
    NotANumber,
    /// The number stands alone.
    NoUnit(u64),
    /// The unit is not one of size.
    UnknownUnit(String),
    /// More than 64 bits of bytes.
    TooLarge,
}

impl fmt::Display for ByteSizeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => out.write_str("a size starts with a whole number"),
            Self::NoUnit(number) => write!(out, "the size `{number}` has no unit"),
            Self::UnknownUnit(unit) => write!(out, "`{unit}` is not a unit of size"),
            Self::TooLarge => out.write_str("a size is at most `16777215TiB`"),
        }
    }
}

impl Explain for ByteSizeError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoUnit(number) => {
                format!("write `{number}B` for bytes, `{number}MiB` for mebibytes")
            }
            Self::UnknownUnit(unit) => match binary_unit(unit) {
                Some(binary) => format!("units count in 1024; write `{binary}`"),
                None => SIZE_FORMS.to_owned(),
            },
            _ => SIZE_FORMS.to_owned(),
        })
    }
}

fn binary_unit(unit: &str) -> Option<&'static str> {
    let initial = unit.chars().next()?.to_ascii_uppercase();
    SIZES.iter().map(|&(name, _)| name).find(|name| name.starts_with(initial))
}

fn split(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

fn write_largest(out: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let divides = |&&(_, factor): &&(&str, u64)| value >= factor && value.is_multiple_of(factor);
    let (name, factor) = units.iter().rev().find(divides).unwrap_or(&units[0]);
    write!(out, "{}{name}", value / factor)
}

const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const SIZE_FORMS: &str = "sizes are written `512B`, `64KiB`, `8MiB` or `1GiB`";
const LONGEST: u64 = 3650 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        assert_eq!(Duration::parse("250ms").unwrap().as_std().as_millis(), 250);
        assert_eq!(Duration::parse("30d").unwrap().as_std().as_secs(), 30 * 86_400);
        for bad in ["", "s", "1.5s", "-1s", "1 s", "01s", "1s ", "1m30s", "4000d", "0s", "5"] {
            assert!(Duration::parse(bad).is_err(), "{bad}");
        }
        assert!(Duration::parse("99999999999999999999d").is_err());
    }

    #[test]
    fn sizes_have_one_number_and_one_unit() {
        assert_eq!(ByteSize::parse("64KiB").unwrap().bytes(), 65_536);
        assert_eq!(ByteSize::parse("0B").unwrap().bytes(), 0);
        for bad in ["", "8M", "8 MiB", "8mib", "1.5GiB", "99999999TiB"] {
            assert!(ByteSize::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_decimal_unit_is_told_its_binary_one() {
        let help = ByteSize::parse("8MB").unwrap_err().help().unwrap();
        assert!(help.contains("`MiB`"), "{help}");
    }

    #[test]
    fn display_uses_the_largest_unit() {
        assert_eq!(Duration::parse("60s").unwrap().to_string(), "1m");
        assert_eq!(Duration::parse("90s").unwrap().to_string(), "90s");
        assert_eq!(ByteSize::parse("2048KiB").unwrap().to_string(), "2MiB");
        assert_eq!(ByteSize::from_bytes(0).to_string(), "0B");
    }
}
