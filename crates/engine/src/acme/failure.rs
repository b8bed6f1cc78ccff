//! Why an order led to no certificate, in the words of whoever refused.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
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
    pub(crate) fn new(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::refused(problem, None),
            Error::Timeout(Some(next)) => {
                let retry_after = Some(next.saturating_duration_since(Instant::now()));
                Self { retry_after, ..Self::ours("the authority is not done yet") }
            }
            Error::Other(other) => match other.downcast::<Refusal>() {
                Ok(refusal) => Self::answered(*refusal),
                Err(other) => Self::ours(describe(&Error::Other(other))),
            },
            error => Self::ours(describe(&error)),
        }
    }

    fn answered(refusal: Refusal) -> Self {
        let words = refusal.to_string();
        match refusal.problem {
            Some(problem) => Self::refused(problem, refusal.retry_after),
            None => Self { retry_after: refusal.retry_after, ..Self::ours(words) },
        }
    }

    fn refused(problem: instant_acme::Problem, retry_after: Option<Duration>) -> Self {
        let is_final = !is_of(&problem, PASSING);
        Self { problem: said(problem), retry_after, is_final }
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

/// An answer that refuses what was asked, with the time that it names.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    problem: Option<instant_acme::Problem>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// What a refusal says; none where it is about a nonce, which the client asks for anew.
    pub(crate) fn of(answer: &Response<Bytes>) -> Option<Self> {
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            return None;
        }
        let problem = serde_json::from_slice::<instant_acme::Problem>(answer.body()).ok();
        if problem.as_ref().is_some_and(|problem| is_of(problem, &[BAD_NONCE])) {
            return None;
        }
        let retry_after = retry_after(answer.headers(), SystemTime::now());
        Some(Self { status, problem, retry_after })
    }

    /// Whether `error` says that what was asked for is not there, or not ours.
    pub(crate) fn is_of_nothing_there(error: &Error) -> bool {
        Self::among(error).is_some_and(|refusal| {
            refusal.status == StatusCode::NOT_FOUND
                || refusal.problem.as_ref().is_some_and(|problem| is_of(problem, UNKNOWN))
        })
    }

    /// Whether `error` may be about what an order is to replace, RFC 9773 §5. Authorities disagree
    /// on the kind of that refusal, so it is any that is not plainly about something else.
    pub(crate) fn is_about_replacing(error: &Error) -> bool {
        let refusal = Self::among(error).and_then(|refusal| refusal.problem.as_ref());
        refusal.is_some_and(|problem| !is_of(problem, NOT_ABOUT_REPLACING))
    }

    fn among(error: &Error) -> Option<&Self> {
        match error {
            Error::Other(other) => other.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => problem.fmt(f),
            None => write!(f, "the authority answered {} without saying why", self.status),
        }
    }
}

impl std::error::Error for Refusal {}

/// When to come again, in either form of
/// [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok(),
    }
}

fn is_of(problem: &instant_acme::Problem, kinds: &[&str]) -> bool {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kinds.iter().any(|each| kind.ends_with(each))
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
/// Those that leave the order as it is.
const PASSING: &[&str] = &[BAD_NONCE, NOT_READY, RATE_LIMITED, SERVER_INTERNAL];
/// Those with which authorities answer when they do not know an order, or as another account's.
const UNKNOWN: &[&str] = &[":malformed", ":unauthorized"];
const NOT_ABOUT_REPLACING: &[&str] = &[
    NO_ACCOUNT,
    RATE_LIMITED,
    ":userActionRequired",
    ":rejectedIdentifier",
    ":unsupportedIdentifier",
    ":caa",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, kind: &str, fields: &[(&str, &str)]) -> Error {
        let body = match kind {
            "" => "<h1>busy</h1>".to_owned(),
            kind => {
                format!("{{\"type\": \"urn:ietf:params:acme:error:{kind}\", \"detail\": \"no\"}}")
            }
        };
        let answer = fields.iter().fold(Response::builder().status(status), |answer, field| {
            answer.header(field.0, field.1)
        });
        let answer = answer.body(Bytes::from(body)).unwrap();
        Error::Other(Refusal::of(&answer).unwrap().into())
    }

    #[test]
    fn the_time_of_a_refusal_goes_with_it_in_both_forms_and_without_words() {
        let later = SystemTime::now() + Duration::from_secs(7200);
        let date = httpdate::fmt_http_date(later);
        for (kind, value) in [("rateLimited", "7200"), ("serverInternal", &date), ("", "7200")] {
            let failure = OrderFailure::new(refusal(503, kind, &[("Retry-After", value)]));
            let after = failure.retry_after.unwrap().as_secs();
            assert!((7190..=7200).contains(&after), "{kind} {value}: {after}");
            assert!(!failure.is_final, "{kind}");
        }
        let past = [("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(None, OrderFailure::new(refusal(503, "", &past)).retry_after);
        assert_eq!(None, OrderFailure::new(refusal(429, "rateLimited", &[])).retry_after);
    }

    #[test]
    fn an_authority_that_is_not_done_says_when_to_come_again() {
        let next = Instant::now() + Duration::from_secs(600);
        let failure = OrderFailure::new(Error::Timeout(Some(next)));
        assert!(failure.retry_after.unwrap().as_secs() >= 590 && !failure.is_final);
    }

    #[test]
    fn an_order_is_forgotten_only_where_the_authority_does_not_know_it() {
        for (status, kind, is_unknown) in [
            (404, "", true),
            (404, "malformed", true),
            (400, "malformed", true),
            (403, "unauthorized", true),
            (429, "rateLimited", false),
            (500, "serverInternal", false),
            (503, "", false),
            (400, "accountDoesNotExist", false),
        ] {
            let error = refusal(status, kind, &[]);
            assert_eq!(is_unknown, Refusal::is_of_nothing_there(&error), "{status} {kind}");
        }
    }

    #[test]
    fn an_order_is_placed_without_what_it_replaces_only_where_that_may_be_why_it_was_refused() {
        for (kind, is_about) in [
            ("alreadyReplaced", true),
            ("malformed", true),
            ("unauthorized", true),
            ("serverInternal", true),
            ("rateLimited", false),
            ("userActionRequired", false),
            ("accountDoesNotExist", false),
            ("rejectedIdentifier", false),
            ("", false),
        ] {
            let error = refusal(500, kind, &[]);
            assert_eq!(is_about, Refusal::is_about_replacing(&error), "{kind}");
        }
        assert!(!Refusal::is_about_replacing(&Error::Timeout(None)));
    }
}
