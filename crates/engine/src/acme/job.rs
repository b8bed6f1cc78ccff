//! One managed certificate: waits for its time, orders, and puts what comes into service.

use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use rustls::pki_types::{CertificateDer, Der};
use tokio::sync::Notify;
use tokio::time::Instant;
use vane_core::rules::tls::{CertificateSource, Managed};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::acme::failure::OrderFailure;
use crate::acme::office::{Idle, Office};
use crate::acme::order::Issued;
use crate::acme::schedule::time::UnixTime;
use crate::acme::schedule::{self, Attempt, Due, Leaf, Question, RenewalInfo, Situation, Window};
use crate::acme::storage::StorageError;
use crate::acme::storage::record::{CertificatePem, State};
use crate::snapshot::ManagedStatus;
use crate::tls::certificate::{Served, hex};
use crate::tls::store::Live;

/// The longest time until the clock is looked at again: it may have been set.
const LONGEST_NAP: u64 = 3600;
/// How often it is tried to take over from another daemon on the same state.
const TAKE_OVER: Duration = Duration::from_secs(60);
/// How often in one attempt an authority may refuse more nonces in a row than a client bears.
const MOST_NONCES: u32 = 20;

/// One managed certificate, for as long as anybody asks for it.
#[derive(Debug)]
pub(super) struct Job {
    asked: Mutex<Asked>,
    wanted: AtomicBool,
    forced: AtomicBool,
    /// A process that ended has left an order.
    interrupted: AtomicBool,
    ordering: AtomicBool,
    state: Mutex<State>,
    /// What serves and is not on disk yet.
    unstored: Mutex<Option<(Managed, CertificatePem)>>,
    /// Told when something changes that the schedule does not know of.
    woken: Notify,
}

/// Who asks for it, in the form of the latest configuration.
#[derive(Debug, Clone)]
struct Asked {
    managed: Managed,
    live: Arc<Live>,
}

impl Job {
    /// A job for a managed certificate; none for others.
    pub(super) fn new(live: &Arc<Live>, state: State) -> Option<Self> {
        Some(Self {
            asked: Mutex::new(Asked::of(live)?),
            wanted: AtomicBool::new(true),
            forced: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            ordering: AtomicBool::new(false),
            state: Mutex::new(state),
            unstored: Mutex::default(),
            woken: Notify::new(),
        })
    }

    /// Serves through `live` from now on, under its settings: what served until now, where that is
    /// good for longer than what was found for it. An order under way goes on.
    pub(super) fn adopt(&self, live: &Arc<Live>) {
        let Some(asked) = Asked::of(live) else { return };
        let before = std::mem::replace(&mut *lock(&self.asked), asked);
        if let Some(served) = before.live.served()
            && live.served().is_none_or(|now| now.facts.not_after < served.facts.not_after)
        {
            live.replace(served);
        }
        self.wanted.store(true, Atomic::Release);
        self.woken.notify_one();
    }

    /// Ends once an order under way has ended.
    pub(super) fn dismiss(&self) {
        self.wanted.store(false, Atomic::Release);
        self.woken.notify_one();
    }

    /// Whether anybody asks for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Atomic::Acquire)
    }

    /// Orders now, whatever the schedule says; where an order is under way, that is it.
    pub(super) fn force(&self) {
        if !self.ordering.load(Atomic::Acquire) {
            self.forced.store(true, Atomic::Release);
        }
        self.woken.notify_one();
    }

    /// How it is managed.
    pub(super) fn status(&self) -> ManagedStatus {
        let next = self.plan(UnixTime::now()).next_attempt;
        let state = lock(&self.state);
        let attempt = state.attempt.as_ref();
        let window = state.renewal_info.as_ref().and_then(|info| info.window);
        ManagedStatus {
            ordering: self.ordering.load(Atomic::Acquire),
            failures: attempt.map_or(0, |attempt| attempt.failures),
            last_attempt: attempt.map(|attempt| attempt.begun.unwrap_or(attempt.at).0),
            next_attempt: next.0,
            renewal_window: window.map(|window| (window.start.0, window.end.0)),
        }
    }

    /// Looks after the certificate until nobody asks for it any more.
    pub(super) async fn run(&self, office: &Office) {
        let mut is_known = false;
        while self.is_wanted() {
            if let Err(idle) = office.take_lock().await {
                is_known = false;
                self.watch_other(office, idle).await;
                continue;
            }
            // What another daemon has left counts, not what it had begun when this one came.
            if !std::mem::replace(&mut is_known, true) {
                self.take_up(office).await;
            }
            self.store_late(office).await;
            match self.plan(UnixTime::now()).due {
                Due::Order => self.order(office).await,
                Due::FetchRenewalInfo => self.ask(office).await,
                Due::Wait { until } => self.nap(until).await,
            }
        }
    }

    /// Knows what a process that ended has left.
    async fn take_up(&self, office: &Office) {
        let stored = office.load(self.managed()).await;
        if stored.has_led_to_what_is_stored() {
            office.note(&self.managed(), &stored.state, true).await;
        }
        self.interrupted.store(stored.is_interrupted(), Atomic::Release);
        self.know(stored.state);
    }

    /// Another daemon orders, or nobody can. What is stored is served here too.
    async fn watch_other(&self, office: &Office, idle: Idle) {
        let stored = office.load(self.managed()).await;
        let is_kept = lock(&self.unstored).is_some();
        if let Some(served) = stored.pem.as_ref().filter(|_| !is_kept).and_then(parsed) {
            let live = self.live();
            if live.served().is_none_or(|before| !before.is(&served)) {
                live.replace(Arc::new(served));
            }
        }
        self.know(stored.state);
        if let Idle::Unusable(problem) = idle {
            self.live().note_problem(problem);
        }
        let _ = tokio::time::timeout(TAKE_OVER, self.woken.notified()).await;
    }

    /// Takes what is stored for what is so, unless more is known than could be stored.
    fn know(&self, stored: State) {
        let mut state = lock(&self.state);
        let at = |state: &State| state.attempt.as_ref().map(|attempt| attempt.at);
        if at(&state) <= at(&stored) {
            *state = stored;
        }
        match &state.problem {
            Some(problem) => self.live().note_problem(problem.to_string()),
            None => self.live().mended(),
        }
    }

    async fn nap(&self, until: UnixTime) {
        let longest =
            if lock(&self.unstored).is_some() { TAKE_OVER.as_secs() } else { LONGEST_NAP };
        let seconds = until.since(UnixTime::now()).clamp(1, longest);
        let end = Instant::now() + Duration::from_secs(seconds);
        let _ = tokio::time::timeout_at(end, self.woken.notified()).await;
    }

    fn plan(&self, now: UnixTime) -> schedule::Plan {
        let asked = self.asked();
        let served = asked.live.served();
        let id = served.as_ref().map(|served| leaf_id(served.leaf()));
        let state = lock(&self.state);
        let situation = Situation {
            leaf: served.as_ref().zip(id.as_deref()).map(|(served, id)| Leaf {
                id,
                not_before: UnixTime::from_timestamp(served.facts.not_before),
                not_after: UnixTime::from_timestamp(served.facts.not_after),
            }),
            renew_before: asked.managed.renew_before,
            renewal_info: state.renewal_info.as_ref(),
            attempt: state.attempt.as_ref(),
            forced: self.forced.load(Atomic::Acquire),
            interrupted: self.interrupted.load(Atomic::Acquire),
        };
        schedule::plan(&situation, now)
    }

    async fn order(&self, office: &Office) {
        let _turn = office.turn(&self.managed()).await;
        // Others may have taken long.
        if !self.is_wanted() || self.plan(UnixTime::now()).due != Due::Order {
            return;
        }
        let _under_way = UnderWay::begin(&self.ordering);
        self.forced.store(false, Atomic::Release);
        self.interrupted.store(false, Atomic::Release);
        let (asked, state) = (self.asked(), self.begun());
        let begun = office.begin(&asked.managed, &state).await;
        let outcome = match begun {
            Ok(()) => asked.order(office).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(issued) => self.succeed(office, &asked.managed, issued).await,
            Err(failure) => self.fail(office, &asked.managed, failure).await,
        }
    }

    /// With an attempt that begins.
    fn begun(&self) -> State {
        let mut state = lock(&self.state);
        state.attempt = Some(Attempt::begun(state.attempt.as_ref(), UnixTime::now(), seed()));
        state.clone()
    }

    /// Stores first, then serves: what serves is not lost. What cannot be stored serves all the
    /// same.
    async fn succeed(&self, office: &Office, managed: &Managed, issued: Issued) {
        let Issued { pem, served } = issued;
        let state = {
            let mut state = lock(&self.state);
            let attempt = state.attempt.take().map(|attempt| attempt.succeeded(UnixTime::now()));
            *state = State { attempt, ..State::default() };
            state.clone()
        };
        let stored = office.store(managed, &pem, &state).await;
        let live = self.live();
        let names = served.facts.names.join(", ");
        tracing::info!(certificate = %live.name, names, not_after = served.facts.not_after, issuer = served.facts.issuer, "certificate issued");
        live.replace(Arc::new(served));
        *lock(&self.unstored) = stored.is_err().then(|| (managed.clone(), pem));
        if let Err(error) = stored {
            tracing::error!(certificate = %live.name, "{}", not_stored(&error));
            live.note_problem(not_stored(&error));
        }
    }

    /// Stores what could not be stored when it came.
    async fn store_late(&self, office: &Office) {
        let Some((managed, pem)) = lock(&self.unstored).clone() else { return };
        let state = lock(&self.state).clone();
        let live = self.live();
        match office.store(&managed, &pem, &state).await {
            Ok(()) => {
                *lock(&self.unstored) = None;
                tracing::info!(certificate = %live.name, "certificate stored");
                self.know(state);
            }
            Err(error) => live.note_problem(not_stored(&error)),
        }
    }

    async fn fail(&self, office: &Office, managed: &Managed, failure: OrderFailure) {
        let problem = failure.problem.to_string();
        let state = {
            let mut state = lock(&self.state);
            let attempt = state.attempt.take();
            state.attempt =
                attempt.map(|attempt| attempt.failed(UnixTime::now(), failure.retry_after));
            state.problem = Some(failure.problem);
            state.clone()
        };
        office.note(managed, &state, failure.is_final).await;
        let live = self.live();
        let failures = state.attempt.map_or(0, |attempt| attempt.failures);
        let next = self.plan(UnixTime::now()).next_attempt.since(UnixTime::now());
        tracing::warn!(certificate = %live.name, failures, next_attempt_secs = next, "no certificate: {problem}");
        live.note_problem(problem);
    }

    /// Asks the authority when it wants the certificate renewed.
    async fn ask(&self, office: &Office) {
        let _turn = office.question().await;
        let (managed, now) = (self.managed(), UnixTime::now());
        let Some(served) = self.live().served() else { return };
        let answer = match replaced(served.leaf()) {
            Some(id) => office.renewal_info(&managed, &id).await,
            None => None,
        };
        let leaf = leaf_id(served.leaf());
        let state = {
            let mut state = lock(&self.state);
            let previous = state.renewal_info.clone();
            let question = Question { leaf: &leaf, asked: now, previous: previous.as_ref() };
            state.renewal_info = Some(match answer {
                Some((window, after)) => {
                    RenewalInfo::answered(question, window, Some(after), seed())
                }
                None => RenewalInfo::unanswered(question, seed()),
            });
            state.clone()
        };
        office.note(&managed, &state, false).await;
    }

    fn asked(&self) -> Asked {
        lock(&self.asked).clone()
    }

    fn managed(&self) -> Managed {
        self.asked().managed
    }

    fn live(&self) -> Arc<Live> {
        self.asked().live
    }
}

impl Asked {
    fn of(live: &Arc<Live>) -> Option<Self> {
        match &live.source {
            CertificateSource::Acme(managed) => {
                Some(Self { managed: (**managed).clone(), live: Arc::clone(live) })
            }
            CertificateSource::Files { .. } => None,
        }
    }

    /// Goes on with the order that is open, else places one.
    async fn order(&self, office: &Office) -> Result<Issued, OrderFailure> {
        let replaces = self.live.served().and_then(|served| replaced(served.leaf()));
        let (mut nonces, mut looks) = (MOST_NONCES, 1_u32);
        loop {
            let pending = office.load(self.managed.clone()).await.open_order();
            let outcome = office.order(&self.managed, replaces.clone(), pending).await;
            let left = match &outcome {
                Err(failure) if failure.is_about_nonce() => &mut nonces,
                Err(failure) if failure.is_outdated() => &mut looks,
                _ => return outcome,
            };
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => return outcome,
            }
        }
    }
}

/// Says that an order is under way, also where it ends by a panic.
struct UnderWay<'a>(&'a AtomicBool);

impl<'a> UnderWay<'a> {
    fn begin(says: &'a AtomicBool) -> Self {
        says.store(true, Atomic::Release);
        Self(says)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.store(false, Atomic::Release);
    }
}

fn not_stored(error: &StorageError) -> String {
    format!("the certificate that serves is not stored yet: {error}")
}

/// A stored certificate in the form that serves.
pub(super) fn parsed(pem: &CertificatePem) -> Option<Served> {
    Served::from_pem(pem.chain.as_bytes(), pem.key.expose().as_bytes()).ok()
}

/// Tells a certificate from its successor: its identifier of RFC 9773 §4.1, else its serial number.
fn leaf_id(leaf: &CertificateDer<'_>) -> String {
    match replaced(leaf) {
        Some(id) => id.to_string(),
        None => X509Certificate::from_der(leaf)
            .map_or_else(|_| String::new(), |(_, leaf)| hex(leaf.raw_serial())),
    }
}

/// The identifier by which an authority knows a certificate.
fn replaced(leaf: &CertificateDer<'_>) -> Option<CertificateIdentifier<'static>> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let authority =
        leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => Some(id.key_identifier.as_ref()?.0),
            _ => None,
        })?;
    let id =
        CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(leaf.raw_serial()));
    Some(id.into_owned())
}

/// Chance, drawn once and kept with what it spreads.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without random numbers nothing is spread, which is no reason not to order.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// The window that an authority answered with.
pub(super) fn window(info: &instant_acme::RenewalInfo) -> Window {
    let at = |time: &time::OffsetDateTime| UnixTime::from_timestamp(time.unix_timestamp());
    let suggested = &info.suggested_window;
    Window { start: at(&suggested.start), end: at(&suggested.end) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
