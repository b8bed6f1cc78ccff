//! When a certificate is ordered, and when its authority is asked for a better moment.
//!
//! A function of what is stored and of the time: no clock, no chance, no I/O. What is stored
//! survives a restart, and so does the schedule. Chance comes in as seeds, drawn when something
//! happened and kept with it.
//!
//! Nothing here trusts the clock. A record from the future is one that a clock wrote which has been
//! set back since, and holds nothing up; each pause counts from a record of the past and is bounded
//! by [`LONGEST_HOLD`]. So a clock that is set by years costs at most a few orders, and never years
//! of waiting.

pub(crate) mod time;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use time::{DAY, HOUR, MINUTE, UnixTime};

/// What is known of one certificate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Situation<'a> {
    /// What is stored.
    pub(crate) leaf: Option<Leaf<'a>>,
    /// How long before its end the operator wants it renewed.
    pub(crate) renew_before: Option<Duration>,
    /// What the authority was last asked and said of a moment for renewal.
    pub(crate) renewal_info: Option<&'a RenewalInfo>,
    /// The last order.
    pub(crate) attempt: Option<&'a Attempt>,
    /// The operator asked for a renewal now. Holds until the next attempt: the caller forgets it
    /// then, whatever comes of it.
    pub(crate) forced: bool,
    /// There is an order that a process left in the middle, which is to be gone on with.
    pub(crate) interrupted: bool,
}

/// The certificate that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf<'a> {
    /// Tells it from its successor; its identifier of RFC 9773 §4.1 where it has one.
    pub(crate) id: &'a str,
    /// Begin of its life.
    pub(crate) not_before: UnixTime,
    /// End of its life.
    pub(crate) not_after: UnixTime,
}

/// An order, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// When the last one ended; when the first began, before one has.
    pub(crate) at: UnixTime,
    /// How many have failed in a row.
    pub(crate) failures: u32,
    /// When one began that has not ended, or ended with its process.
    #[serde(default)]
    pub(crate) begun: Option<UnixTime>,
    /// How many in a row have ended with their process.
    #[serde(default)]
    pub(crate) interruptions: u32,
    /// Before when the authority does not want to see the next, by its Retry-After.
    pub(crate) not_until: Option<UnixTime>,
    /// Spreads the next one.
    pub(crate) seed: u64,
}

/// Asking the authority when to renew (RFC 9773), and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RenewalInfo {
    /// [`Leaf::id`] of the certificate that was asked about. It says nothing of another.
    pub(crate) leaf: String,
    /// When it was asked.
    pub(crate) asked: UnixTime,
    /// When it wants to be asked again; kept to between a minute and a day.
    pub(crate) ask_again: UnixTime,
    /// What it offered; stays when a later question is not answered.
    pub(crate) window: Option<Window>,
    /// Says which point in the window it is.
    pub(crate) seed: u64,
}

/// A time in which the authority wants a certificate renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Its begin.
    pub(crate) start: UnixTime,
    /// Its end.
    pub(crate) end: UnixTime,
}

/// What to do for one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is due now.
    pub(crate) due: Due,
    /// When it will be ordered if nothing changes; now, where that is due. To be shown.
    pub(crate) next_attempt: UnixTime,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Order it.
    Order,
    /// Ask the authority when to renew it. The answer, or that there was none, goes into
    /// [`RenewalInfo`], or the same is due again.
    FetchRenewalInfo,
    /// Nothing.
    Wait {
        /// When something will be, if nothing changes: after now, and within [`LONGEST_HOLD`]. A
        /// caller looks again sooner, as clocks are set.
        until: UnixTime,
    },
}

/// What is due for a certificate, and when it will be ordered.
pub(crate) fn plan(situation: &Situation<'_>, now: UnixTime) -> Plan {
    let next_attempt = situation.next_attempt(now);
    let due = match situation.next_question(now) {
        _ if situation.forced && next_attempt <= now => Due::Order,
        Some(question) if question <= now => Due::FetchRenewalInfo,
        _ if next_attempt <= now => Due::Order,
        Some(question) => Due::Wait { until: next_attempt.min(question) },
        None => Due::Wait { until: next_attempt },
    };
    Plan { due, next_attempt }
}

impl Situation<'_> {
    /// The first time, from now on, at which it is wanted and nothing holds it up.
    fn next_attempt(&self, now: UnixTime) -> UnixTime {
        let at_once = self.forced || self.interrupted;
        let wanted = if at_once { now } else { self.wanted().max(now) };
        let Some(attempt) = self.attempt.filter(|attempt| attempt.at <= wanted) else {
            return wanted;
        };
        let pause = match attempt.begun.filter(|begun| *begun <= wanted) {
            _ if self.forced => attempt.at,
            // It began after whatever pause the one before it called for.
            Some(begun) => begun.plus(attempt.pause_of_interrupted()),
            None => attempt.at.plus(self.pause(attempt)),
        };
        wanted.max(pause).max(attempt.held_until())
    }

    /// When the stored certificate is to be renewed; at once, if there is none.
    fn wanted(&self) -> UnixTime {
        let Some(leaf) = self.usable_leaf() else { return UnixTime(0) };
        let info = self.renewal_info.filter(|info| info.leaf == leaf.id);
        let offered = info.and_then(|info| info.point(&leaf));
        let own = leaf.renewal(self.renew_before);
        match (offered, self.renew_before) {
            (Some(offered), None) => offered,
            // The operator does not want it later than this, whatever the authority thinks.
            (Some(offered), Some(_)) => offered.min(own),
            (None, _) => own,
        }
    }

    /// When to ask the authority next; `None` if not in this certificate's life.
    fn next_question(&self, now: UnixTime) -> Option<UnixTime> {
        let leaf = self.usable_leaf()?;
        let info = self.renewal_info.filter(|info| info.leaf == leaf.id && info.asked <= now);
        let next = info.map_or(now, RenewalInfo::next_question).max(now);
        (next < leaf.not_after).then_some(next)
    }

    /// Without what can never be valid.
    fn usable_leaf(&self) -> Option<Leaf<'_>> {
        self.leaf.filter(|leaf| leaf.not_before < leaf.not_after)
    }

    /// For how many seconds nothing is tried after this attempt.
    fn pause(&self, attempt: &Attempt) -> u64 {
        match (attempt.failures, self.usable_leaf()) {
            (0, leaf) => leaf.map_or(SHORTEST_PAUSE, |leaf| leaf.rest()),
            (_, leaf) => attempt.back_off(leaf.and_then(|leaf| leaf.left(attempt.at))),
        }
    }
}

impl Leaf<'_> {
    fn life(&self) -> u64 {
        self.not_after.since(self.not_before)
    }

    /// What is left of its life, in seconds; `None` when it is over.
    fn left(&self, now: UnixTime) -> Option<u64> {
        (now < self.not_after).then(|| self.not_after.since(now))
    }

    /// When to renew it by its life alone, or as the operator wants, if that leaves it a third of
    /// its life: a time that is longer than its life would order without end.
    fn renewal(&self, renew_before: Option<Duration>) -> UnixTime {
        let life = self.life();
        let usual = if life < SHORT_LIFE { life / 2 } else { life / 3 };
        let before = renew_before.map_or(usual, |before| before.as_secs().min(life / 3 * 2));
        self.not_after.minus(before)
    }

    /// How long it is left alone after it came, whatever the authority offers and the clock says.
    fn rest(&self) -> u64 {
        (self.life() / 4).clamp(SHORTEST_PAUSE, LONGEST_REST)
    }
}

impl Attempt {
    /// One that begins, to be stored before anything is asked of the authority. One that ends with
    /// its process is no failure, but is noted.
    pub(crate) fn begun(previous: Option<&Self>, at: UnixTime, seed: u64) -> Self {
        let first = Self { at, failures: 0, begun: None, interruptions: 0, not_until: None, seed };
        let previous = previous.cloned().unwrap_or(first);
        let cut_short = u32::from(previous.begun.is_some());
        let interruptions = previous.interruptions.saturating_add(cut_short);
        Self { begun: Some(at), interruptions, seed, ..previous }
    }

    /// It led to a certificate, which is stored.
    pub(crate) fn succeeded(self, at: UnixTime) -> Self {
        Self { at, failures: 0, begun: None, interruptions: 0, not_until: None, seed: self.seed }
    }

    /// It did not; the authority may have said when to come again.
    pub(crate) fn failed(self, at: UnixTime, retry_after: Option<Duration>) -> Self {
        let failures = self.failures.saturating_add(1);
        let not_until = retry_after.map(|after| at.plus(after.as_secs()));
        Self { failures, not_until, ..self.succeeded(at) }
    }

    /// Seconds from the begin of one that ended with its process to the next: none at first, so
    /// that a restart costs no time, then a second more each time up to a minute. What keeps ending
    /// the process is not made worse by a site that has no certificate for hours.
    fn pause_of_interrupted(&self) -> u64 {
        u64::from(self.interruptions.saturating_sub(FREE_INTERRUPTIONS)).min(SHORTEST_PAUSE)
    }

    /// Seconds until the next: doubling from about a minute, at most [`LONGEST_PAUSE`] and a tenth
    /// of what is left of the certificate that is served meanwhile.
    fn back_off(&self, left: Option<u64>) -> u64 {
        let doublings = self.failures.saturating_sub(1).min(16);
        let longest = left.map_or(LONGEST_PAUSE, |left| LONGEST_PAUSE.min(left / 10));
        let pause = (FIRST_PAUSE << doublings).min(longest);
        (pause - spread(self.seed, pause / 5)).max(SHORTEST_PAUSE)
    }

    /// What the authority asked for, within reason.
    fn held_until(&self) -> UnixTime {
        let latest = self.at.plus(LONGEST_HOLD);
        self.not_until.map_or(self.at, |until| until.min(latest))
    }
}

impl RenewalInfo {
    /// What the authority answered at `asked`. `seed` is fresh; the point that was chosen stays
    /// where the window is the one of `previous`.
    pub(crate) fn answered(
        question: Question<'_>,
        window: Window,
        retry_after: Option<Duration>,
        seed: u64,
    ) -> Self {
        let previous = question.previous_of_same_leaf();
        let same = previous.filter(|previous| previous.window == Some(window));
        Self {
            leaf: question.leaf.to_owned(),
            asked: question.asked,
            ask_again: question.asked.plus(retry_after.map_or(UNANSWERED, |after| after.as_secs())),
            window: Some(window),
            seed: same.map_or(seed, |previous| previous.seed),
        }
    }

    /// There was no answer, or the authority does not give any. What it said before still holds.
    /// `seed` is fresh, and keeps those apart that were not answered together.
    pub(crate) fn unanswered(question: Question<'_>, seed: u64) -> Self {
        let previous = question.previous_of_same_leaf();
        let pause = UNANSWERED - spread(seed, UNANSWERED / 4);
        Self {
            leaf: question.leaf.to_owned(),
            asked: question.asked,
            ask_again: question.asked.plus(pause),
            window: previous.and_then(|previous| previous.window),
            seed: previous.map_or(0, |previous| previous.seed),
        }
    }

    fn next_question(&self) -> UnixTime {
        self.asked.plus(self.ask_again.since(self.asked).clamp(MINUTE, DAY))
    }

    /// The point in the window at which this certificate is renewed; `None` where the window is
    /// none for it. The last tenth of a life is not used: it is there for what goes wrong.
    fn point(&self, leaf: &Leaf<'_>) -> Option<UnixTime> {
        let Window { start, end } = self.window.filter(|window| window.end <= leaf.not_after)?;
        let end = end.min(leaf.not_after.minus(leaf.life() / 10));
        (start < end).then(|| start.plus(spread(self.seed, end.since(start))))
    }
}

/// A question for the moment of a renewal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// [`Leaf::id`] of the certificate it is about.
    pub(crate) leaf: &'a str,
    /// When it was asked.
    pub(crate) asked: UnixTime,
    /// What was known before.
    pub(crate) previous: Option<&'a RenewalInfo>,
}

impl<'a> Question<'a> {
    fn previous_of_same_leaf(self) -> Option<&'a RenewalInfo> {
        self.previous.filter(|previous| previous.leaf == self.leaf)
    }
}

/// A number from 0 to `width`; seeds that are spread evenly spread it evenly.
fn spread(seed: u64, width: u64) -> u64 {
    let scaled = u128::from(seed) * (u128::from(width) + 1);
    (scaled >> 64) as u64
}

/// A back-off begins here; with its spread, between one minute and this.
const FIRST_PAUSE: u64 = MINUTE * 5 / 4;
/// No two attempts are nearer, unless the operator forces the second.
const SHORTEST_PAUSE: u64 = MINUTE;
/// So many attempts in a row may end with their process before they are kept apart.
const FREE_INTERRUPTIONS: u32 = 10;
/// Attempts that fail are no farther apart, but where the authority says so.
const LONGEST_PAUSE: u64 = 6 * HOUR;
/// The most that an authority can ask for; what it needs are a week's limits.
const LONGEST_HOLD: u64 = 7 * DAY;
/// With this between orders that succeed, five in a week are never reached, which is what a common
/// authority grants for the same names.
const LONGEST_REST: u64 = 2 * DAY;
/// A certificate that lives shorter is renewed at half of its life, as a third leaves no time for a
/// weekend's failures.
const SHORT_LIFE: u64 = 10 * DAY;
/// The longest pause after a question for a moment without an answer, RFC 9773 §4.3.3.
const UNANSWERED: u64 = 6 * HOUR;

#[cfg(test)]
mod tests;
