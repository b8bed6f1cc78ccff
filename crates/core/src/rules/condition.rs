//! Questions about a flow, with operands already in the form that is compared.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::value::field::{Field, Layer};
use crate::value::host_pattern::HostPattern;
use crate::value::regex::Regex;

/// A predicate or a combination of predicates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// One question about one field.
    Test(Predicate),
    /// Holds when all hold; empty holds always.
    All(Vec<Condition>),
    /// Holds when any holds; empty never holds.
    Any(Vec<Condition>),
    /// Holds when the inner one does not.
    Not(Box<Condition>),
}

impl Condition {
    /// The deepest layer that any field in here belongs to.
    pub fn layer(&self) -> Layer {
        match self {
            Self::Test(predicate) => predicate.field.layer(),
            Self::All(inner) | Self::Any(inner) => {
                inner.iter().map(Self::layer).max().unwrap_or(Layer::Connection)
            }
            Self::Not(inner) => inner.layer(),
        }
    }
}

/// One question about one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// What is asked about.
    pub field: Field,
    /// What is asked.
    pub test: Test,
}

/// What is asked of a field's value. A field that a flow does not have fails every test but
/// `Exists(false)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// The field is there (`true`) or is not (`false`).
    Exists(bool),
    /// The text is one of these; lower case where the field's RFC ignores case.
    OneOf(Vec<Box<str>>),
    /// The host or server name matches one of these.
    Host(Vec<HostPattern>),
    /// The text starts so; for any field but a path.
    Prefix(Box<str>),
    /// The path is this one or lies below it, at a segment boundary. Without a trailing `/`.
    PathPrefix(Box<str>),
    /// The text ends so.
    Suffix(Box<str>),
    /// The text has this in it.
    Contains(Box<str>),
    /// The expression matches somewhere; anchored only where written.
    Regex(Pattern),
    /// The address lies in one of these networks.
    Cidr(Vec<ipnet::IpNet>),
    /// The address is one of these.
    Address(Vec<IpAddr>),
    /// The port is one of these.
    Port(Vec<u16>),
}

/// A compiled regular expression that compares and prints as its source.
#[derive(Clone)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// The longest program, in bytes, that one expression may compile to.
    pub const SIZE_LIMIT: usize = 1 << 20;

    /// Compiles a linear-time expression.
    ///
    /// # Errors
    /// When the expression is malformed or its program is larger than [`Self::SIZE_LIMIT`].
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        regex::RegexBuilder::new(source).size_limit(Self::SIZE_LIMIT).build().map(Self)
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The compiled form.
    pub fn regex(&self) -> &regex::Regex {
        &self.0
    }
}

impl From<&Regex> for Pattern {
    fn from(regex: &Regex) -> Self {
        Self(regex.compiled().clone())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.as_str())
    }
}
