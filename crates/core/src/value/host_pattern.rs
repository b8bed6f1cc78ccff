//! Host names in predicates: exact, or one wildcard label in front.

use std::{
    borrow::Cow,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{Explain, visible};

/// A host name, address literal or `*.name`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Exactly this host. An IPv6 address is in brackets and in canonical form, as in a `Host`
    /// field.
    Exact(Box<str>),
    /// Any single label in front of this name: `*.example.com` is stored as `example.com`.
    OneLabel(Box<str>),
}

impl HostPattern {
    /// Parses `example.com`, `*.example.com`, `192.0.2.1`, `[2001:db8::1]` or `2001:db8::1`.
    ///
    /// # Errors
    /// Names what a host cannot have: a scheme, a port, characters outside ASCII, a wildcard
    /// elsewhere than as the first label, labels against RFC 1123.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if let Some(address) = ipv6(text) {
            return Ok(Self::Exact(format!("[{address}]").into()));
        }
        refuse_surroundings(text)?;
        match text.strip_prefix("*.") {
            Some(parent) => Ok(Self::OneLabel(host_name(parent)?)),
            None => Ok(Self::Exact(host_name(text)?)),
        }
    }

    /// The canonical text; parses back to the same pattern.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Exact(name) => Cow::Borrowed(name),
            Self::OneLabel(parent) => Cow::Owned(format!("*.{parent}")),
        }
    }

    /// Whether a host matches. The host must be without port and in lower case.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::OneLabel(parent) => host
                .strip_suffix(&**parent)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name())
    }
}

/// Checks a host name by RFC 1123 (underscores allowed, as they occur) and lower-cases it.
///
/// # Errors
/// As [`HostPattern::parse`]; a name that looks like an IPv4 address must be one.
pub fn host_name(text: &str) -> Result<Box<str>, HostPatternError> {
    if text.is_empty() {
        return Err(HostPatternError::Empty);
    }
    if text.len() > 253 {
        return Err(HostPatternError::TooLong);
    }
    text.split('.').try_for_each(check_label)?;
    let last = text.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    if numeric && text.parse::<Ipv4Addr>().is_err() {
        return Err(HostPatternError::NotAnAddress);
    }
    Ok(text.to_ascii_lowercase().into())
}

/// Why a text is not a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPatternError {
    /// Nothing is there.
    Empty,
    /// More than 253 characters.
    TooLong,
    /// Two dots meet, or one stands at an end.
    EmptyLabel,
    /// A label has more than 63 characters.
    LongLabel,
    /// A label starts or ends with a hyphen.
    Hyphen(String),
    /// A character that host names do not have.
    BadCharacter(char),
    /// A character outside ASCII.
    NotAscii,
    /// A `*` elsewhere than alone in the first label.
    Wildcard,
    /// A URL.
    Scheme,
    /// A port at the end.
    Port(String),
    /// It ends in a number but is not an IPv4 address.
    NotAnAddress,
}

impl fmt::Display for HostPatternError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("a host name is not empty"),
            Self::TooLong => out.write_str("a host name has at most 253 characters"),
            Self::EmptyLabel => out.write_str("a host name has no empty label"),
            Self::LongLabel => out.write_str("a label of a host name has at most 63 characters"),
            Self::Hyphen(label) => write!(out, "the label `{label}` has a hyphen at an end"),
            Self::BadCharacter(c) => write!(out, "a host name cannot contain `{}`", visible(*c)),
            Self::NotAscii => out.write_str("a host name has ASCII letters only"),
            Self::Wildcard => out.write_str("a `*` can only be the whole first label"),
            Self::Scheme => out.write_str("a URL stands where a host name belongs"),
            Self::Port(_) => out.write_str("a host name has no port here"),
            Self::NotAnAddress => out.write_str("this is neither a host name nor an IPv4 address"),
        }
    }
}

impl Explain for HostPatternError {
    fn help(&self) -> Option<String> {
        Some(str::to_owned(match self {
            Self::NotAscii => {
                "write international names as A-labels, such as `xn--bcher-kva.example`"
            }
            Self::Wildcard => "write `*.example.com`; it stands for exactly one label",
            Self::Scheme => "write the host alone, such as `example.com`",
            Self::Port(host) => {
                return Some(format!("write `{host}`; the port is part of `listen`"));
            }
            Self::EmptyLabel => "take the leading, trailing or double dot away",
            _ => return None,
        }))
    }
}

fn ipv6(text: &str) -> Option<Ipv6Addr> {
    if !text.contains(':') {
        return None;
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

fn refuse_surroundings(text: &str) -> Result<(), HostPatternError> {
    match text.rsplit_once(':') {
        Some(_) if text.contains("://") => Err(HostPatternError::Scheme),
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            Err(HostPatternError::Port(host.to_owned()))
        }
        _ => Ok(()),
    }
}

fn check_label(label: &str) -> Result<(), HostPatternError> {
    if label.is_empty() {
        return Err(HostPatternError::EmptyLabel);
    }
    if let Some(bad) =
        label.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
    {
        return Err(match bad {
            '*' => HostPatternError::Wildcard,
            bad if !bad.is_ascii() => HostPatternError::NotAscii,
            bad => HostPatternError::BadCharacter(bad),
        });
    }
    if label.len() > 63 {
        return Err(HostPatternError::LongLabel);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostPatternError::Hyphen(label.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_cased_and_addresses_canonical() {
        let shown = |text: &str| HostPattern::parse(text).unwrap().to_string();
        assert_eq!(shown("Example.COM"), "example.com");
        assert_eq!(shown("*.Example.com"), "*.example.com");
        assert_eq!(shown("2001:DB8:0::1"), "[2001:db8::1]");
        assert_eq!(shown("[::1]"), "[::1]");
        assert_eq!(shown("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_wildcard_is_exactly_one_label() {
        let pattern = HostPattern::parse("*.example.com").unwrap();
        assert!(pattern.matches("a.example.com"));
        assert!(!pattern.matches("example.com"));
        assert!(!pattern.matches("a.b.example.com"));
        assert!(!pattern.matches(".example.com"));
        assert!(!pattern.matches("aexample.com"));
    }

    #[test]
    fn each_bad_host_is_told_apart() {
        use HostPatternError as E;
        let error = |text| HostPattern::parse(text).unwrap_err();
        assert_eq!(error(""), E::Empty);
        assert_eq!(error("example.com."), E::EmptyLabel);
        assert_eq!(error("bücher.example"), E::NotAscii);
        assert_eq!(error("a.*.example"), E::Wildcard);
        assert_eq!(error("*"), E::Wildcard);
        assert_eq!(error("https://example.com"), E::Scheme);
        assert_eq!(error("example.com:443"), E::Port("example.com".into()));
        assert_eq!(error("1.2.3.400"), E::NotAnAddress);
        assert_eq!(error("-a.example"), E::Hyphen("-a".into()));
        assert_eq!(error("a b"), E::BadCharacter(' '));
        assert_eq!(error(&"a".repeat(64)), E::LongLabel);
    }
}
