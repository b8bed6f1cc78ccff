//! Rates such as `50/s`.

use std::fmt;

use super::{Explain, plain_number};

/// So many per second, minute or hour; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    per: Per,
}

impl Rate {
    /// Parses `50/s`, `100/m` or `1000/h`.
    ///
    /// # Errors
    /// Says which half is wrong, or that the rate is zero or above four thousand million.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let Some((count, per)) = text.split_once('/') else { return Err(RateError::NoPeriod) };
        let per = match per {
            "s" => Per::Second,
            "m" => Per::Minute,
            "h" => Per::Hour,
            _ => return Err(RateError::UnknownPeriod(per.to_owned())),
        };
        match plain_number::<u32>(count) {
            Some(0) => Err(RateError::Zero),
            Some(count) => Ok(Self { count, per }),
            None => Err(RateError::NotANumber),
        }
    }

    /// How many in one period.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The period.
    pub fn per(self) -> Per {
        self.per
    }

    /// The time in which one is earned, in nanoseconds, rounded down, never zero.
    pub fn interval(self) -> std::time::Duration {
        self.per.length() / self.count
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => 's',
            Per::Minute => 'm',
            Per::Hour => 'h',
        };
        write!(out, "{}/{per}", self.count)
    }
}

/// What a rate counts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// One second.
    Second,
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
}

impl Per {
    /// The period as a time.
    pub fn length(self) -> std::time::Duration {
        std::time::Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}

/// Why a text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateError {
    /// There is no `/`.
    NoPeriod,
    /// What follows the `/` is not a period.
    UnknownPeriod(String),
    /// What precedes the `/` is not a whole number of at most 32 bits.
    NotANumber,
    /// The count is zero.
    Zero,
}

impl fmt::Display for RateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPeriod => out.write_str("a rate has no period"),
            Self::UnknownPeriod(per) => write!(out, "`{per}` is not a period of a rate"),
            Self::NotANumber => out.write_str("a rate starts with a whole number"),
            Self::Zero => out.write_str("a rate of zero lets nothing through"),
        }
    }
}

impl Explain for RateError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Zero => "use the action `respond` or `close` to refuse everything".to_owned(),
            _ => "rates are written `50/s`, `100/m` or `1000/h`".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_period() {
        let rate = Rate::parse("100/m").unwrap();
        assert_eq!((rate.count(), rate.per()), (100, Per::Minute));
        assert_eq!(rate.interval().as_millis(), 600);
        assert_eq!(rate.to_string(), "100/m");
        for bad in ["", "50", "50/", "/s", "0/s", "-1/s", "5/d", "5 /s", "5000000000/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }
}
