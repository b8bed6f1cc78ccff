//! The closed list of problem kinds. Name, severity and documentation page stand together.

use std::fmt;

/// Whether a configuration with this problem can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used, but probably does not mean what was intended.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($variant:ident = $name:literal, $severity:ident, $doc:literal;)*) => {
        /// The kind of a problem. Names are stable: scripts and documentation refer to them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $doc] $variant,)*
        }

        impl Code {
            /// Every code, in the order in which the compiler meets them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable kebab-case name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The severity unless the reporter says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),* }
            }

            /// The documentation page: cause, example, way out, in Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(
                        concat!("../../../../docs/diagnostics/", $name, ".md")
                    )),*
                }
            }
        }
    };
}

codes! {
    FileUnreadable = "file-unreadable", Error, "The operating system did not let us read a file.";
    FileTooLarge = "file-too-large", Error, "A file is larger than any configuration should be.";
    FileNotUtf8 = "file-not-utf8", Error, "A file is not UTF-8 text.";
    EnvFileSyntax = "env-file-syntax", Error, "A line of `.env` is not `NAME=value`.";
    JsonSyntax = "json-syntax", Error, "The text is not JSON.";
    NestingTooDeep = "nesting-too-deep", Error, "Lists and objects are nested too deep.";
    DuplicateKey = "duplicate-key", Error, "A key stands twice in one object.";
    WrongType = "wrong-type", Error, "A value has another JSON type than its key takes.";
    UnknownKey = "unknown-key", Error, "A key is not part of the language.";
    MissingKey = "missing-key", Error, "A key that must be there is not.";
    UnknownField = "unknown-field", Error, "A name is not a field.";
    UnknownOperator = "unknown-operator", Error, "A name is not an operator.";
    BadValue = "bad-value", Error, "A value is outside of what its key takes.";
    BadUnit = "bad-unit", Error, "A duration, size or rate is not written with a proper unit.";
    BadListenAddress = "bad-listen-address", Error, "An address cannot be listened on.";
    BadHostPattern = "bad-host-pattern", Error, "A host name or wildcard is malformed.";
    BadPathPattern = "bad-path-pattern", Error, "A path in a predicate can never match.";
    BadRegex = "bad-regex", Error, "A regular expression does not compile.";
    BadTemplate = "bad-template", Error, "A template is malformed or names no field.";
    BadUrl = "bad-url", Error, "The address of a server is malformed.";
    BadName = "bad-name", Error, "A name has characters that names do not have.";
    UnsetVariable = "unset-variable", Error, "A variable is not set and has no default.";
    BadVariableSyntax = "bad-variable-syntax", Error, "A `${` does not start a proper variable.";
    DuplicateName = "duplicate-name", Error, "Two rules have the same name.";
    NoAction = "no-action", Error, "A rule has no action.";
    TwoActions = "two-actions", Error, "A rule has more than one action.";
    OperatorNotApplicable = "operator-not-applicable", Error, "A field cannot be asked so.";
    LayerConflict = "layer-conflict", Error, "A rule needs a layer that its listener never reaches.";
    FamilySuppressed = "family-suppressed", Error, "A listener asks for a suppressed family.";
    UnknownUpstream = "unknown-upstream", Error, "No upstream has this name.";
    TermsNotAgreed = "terms-not-agreed", Error, "A certificate needs terms that nobody agreed to.";
    ChallengeUnfit = "challenge-unfit", Error, "A challenge cannot prove a name here.";
    CertificateConflict = "certificate-conflict", Error, "Two certificates serve one name.";
    MixedListener = "mixed-listener", Error, "Rules disagree about what a listener speaks.";
    UnverifiedUpstream = "unverified-upstream", Warning, "A server is not verified.";
    NotAvailable = "not-available", Error, "This version cannot serve a part of the language.";
    UnreachableRule = "unreachable-rule", Warning, "A rule can never match.";
    EmptyConfig = "empty-config", Warning, "There is no rule at all.";
}

impl Code {
    /// The code with this stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name() {
        for &code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
        assert_eq!(Code::parse("no-such-code"), None);
    }

    #[test]
    fn every_page_is_headed_by_its_code_and_shows_a_way_out() {
        for &code in Code::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}\n")), "{code}");
            assert!(page.contains("\n## Way out\n"), "{code}");
        }
    }
}
