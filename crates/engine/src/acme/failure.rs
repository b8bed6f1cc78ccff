//! Why an order led to no certificate, in the words of whoever refused.

use std::fmt;
use std::time::Duration;

use instant_acme::Error;

use crate::acme::storage::record::{Problem, Subproblem};

/// An order that led to no certificate.
#[derive(Debug)]
pub(crate) struct OrderFailure {
    /// What happened.
    pub(crate) problem: Problem,
    /// When the authority wants to be asked again, if it said so.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the order itself is lost; else it can be taken up again.
    pub(crate) is_final: bool,
}

impl OrderFailure {
    /// What the authority said, or what kept us from hearing it.
    pub(crate) fn new(error: Error, retry_after: Option<Duration>) -> Self {
        match error {
            Error::Api(problem) => {
                let is_final = !is_passing(&problem);
                Self { problem: said(problem), retry_after, is_final }
            }
            error => Self { retry_after, ..Self::ours(describe(&error)) },
        }
    }

    /// Something on this side, or on the way.
    pub(crate) fn ours(error: impl fmt::Display) -> Self {
        let problem = Problem { detail: error.to_string(), ..Problem::default() };
        Self { problem, retry_after: None, is_final: false }
    }

    /// What the authority said of names that were not proven.
    pub(crate) fn unproven(problems: Vec<(String, Option<instant_acme::Problem>)>) -> Self {
        let subproblems = problems.into_iter().map(|(name, problem)| {
            let problem = problem.map(said).unwrap_or_default();
            Subproblem { name: Some(name), kind: problem.kind, detail: problem.detail }
        });
        let problem = Problem {
            kind: String::new(),
            detail: "the authority could not verify every name".to_owned(),
            subproblems: subproblems.collect(),
        };
        Self { problem, retry_after: None, is_final: true }
    }

    /// Whether the authority refused how it was asked, and has to be asked again at once.
    pub(crate) fn is_about_nonce(&self) -> bool {
        self.problem.kind.ends_with(BAD_NONCE)
    }

    /// Whether the account or the order is not as it was thought to be, and has to be looked up
    /// anew: the authority has forgotten the one, or a process that ended has led on the other.
    pub(crate) fn is_outdated(&self) -> bool {
        self.is_about_account() || self.problem.kind.ends_with(NOT_READY)
    }

    /// Whether the authority has forgotten the account.
    pub(crate) fn is_about_account(&self) -> bool {
        self.problem.kind.ends_with(NO_ACCOUNT)
    }

    /// The same, with the order lost.
    pub(crate) fn last(self) -> Self {
        Self { is_final: true, ..self }
    }
}

/// Whether a refusal leaves the order as it is.
pub(crate) fn is_passing(problem: &instant_acme::Problem) -> bool {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    [BAD_NONCE, NOT_READY, RATE_LIMITED, SERVER_INTERNAL]
        .iter()
        .any(|passing| kind.ends_with(passing))
}

/// A problem document in our form.
pub(crate) fn said(problem: instant_acme::Problem) -> Problem {
    let subproblems = problem.subproblems.into_iter().map(|sub| Subproblem {
        name: sub.identifier.map(|identifier| identifier.authorized(false).to_string()),
        kind: sub.r#type.unwrap_or_default(),
        detail: sub.detail.unwrap_or_default(),
    });
    Problem {
        subproblems: subproblems.collect(),
        kind: problem.r#type.unwrap_or_default(),
        detail: problem.detail.unwrap_or_default(),
    }
}

/// An error with what it came from, where that says more.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for OrderFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        if !self.kind.is_empty() {
            write!(f, " ({})", self.kind)?;
        }
        for sub in &self.subproblems {
            let name = sub.name.as_deref().unwrap_or("?");
            write!(f, "; {name}: {}", sub.detail)?;
            if !sub.kind.is_empty() {
                write!(f, " ({})", sub.kind)?;
            }
        }
        Ok(())
    }
}

/// Kinds of problems, RFC 8555 §6.7.
const BAD_NONCE: &str = ":badNonce";
const NOT_READY: &str = ":orderNotReady";
const NO_ACCOUNT: &str = ":accountDoesNotExist";
const RATE_LIMITED: &str = ":rateLimited";
const SERVER_INTERNAL: &str = ":serverInternal";
