//! What became of the requests of a load.

use std::fmt;
use std::ops::AddAssign;

use crate::failure::Failure;

/// Counts by outcome, as the clients saw them.
///
/// Nothing is lost when every request sent has been answered rightly. A connection that the peer
/// closed between two requests (`closed_idle`), one it asked to leave (`reconnects`) and a request
/// that it declared untouched (`not_processed`, HTTP/2 only, not counted as sent) are legal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests or messages of which a byte may have been sent.
    pub sent: u64,
    /// Answers that were what they had to be.
    pub answered: u64,
    /// Answers to somebody else, with another body than sent, or with another status than 200.
    pub wrong: u64,
    /// Connections refused.
    pub refused: u64,
    /// Requests that ended in a reset.
    pub reset: u64,
    /// Answers cut short.
    pub truncated: u64,
    /// Requests whose connection was closed without a byte of an answer.
    pub closed_before_answer: u64,
    /// Answers that the protocol forbids.
    pub malformed: u64,
    /// Requests without an answer in time.
    pub timed_out: u64,
    /// Connections found closed when no byte of the next request had been sent.
    pub closed_idle: u64,
    /// Requests that the peer said it had not looked at.
    pub not_processed: u64,
    /// Connections left because the peer asked for it: `Connection: close` or GOAWAY.
    pub reconnects: u64,
    /// The first of the problems, in words.
    pub problems: Vec<String>,
}

impl Tally {
    /// Asserts that the load ran and that every request was answered rightly.
    ///
    /// # Panics
    /// With the whole tally otherwise.
    pub fn assert_nothing_lost(&self) {
        assert!(self.sent > 0, "the load has sent nothing: {self}");
        let clean = self.failures() == 0 && self.sent == self.answered;
        assert!(clean, "something was lost: {self}");
    }

    /// How many went wrong in any way.
    pub fn failures(&self) -> u64 {
        self.wrong
            + self.refused
            + self.reset
            + self.truncated
            + self.closed_before_answer
            + self.malformed
            + self.timed_out
    }

    /// Counts the failure of `what`.
    pub(super) fn fail(&mut self, what: &str, failure: &Failure) {
        let count = match failure {
            Failure::Refused => &mut self.refused,
            Failure::Reset => &mut self.reset,
            Failure::ClosedBeforeAnswer => &mut self.closed_before_answer,
            Failure::Truncated => &mut self.truncated,
            Failure::Malformed(_) => &mut self.malformed,
            Failure::TimedOut => &mut self.timed_out,
            Failure::NotProcessed => &mut self.not_processed,
        };
        *count += 1;
        if *failure != Failure::NotProcessed {
            self.note(format!("{what}: {failure}"));
        }
    }

    /// Counts a wrong answer.
    pub(super) fn wrong(&mut self, what: &str, why: &str) {
        self.wrong += 1;
        self.note(format!("{what}: {why}"));
    }

    fn note(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.wrong += other.wrong;
        self.refused += other.refused;
        self.reset += other.reset;
        self.truncated += other.truncated;
        self.closed_before_answer += other.closed_before_answer;
        self.malformed += other.malformed;
        self.timed_out += other.timed_out;
        self.closed_idle += other.closed_idle;
        self.not_processed += other.not_processed;
        self.reconnects += other.reconnects;
        other.problems.into_iter().for_each(|problem| self.note(problem));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}

const MAX_PROBLEMS: usize = 20;
