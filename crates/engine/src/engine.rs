//! The engine as the daemon sees it: prepare, commit, drain, and a look inside.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use vane_core::graph::{FlowGraph, Listener as Spec};
use vane_core::rules::tls::Certificate;
use vane_core::value::listen_addr::Transport;

use crate::listener::Listener;
use crate::program::{LinkProblem, Program, ReadCertificates, read_certificates};
use crate::registry::HandshakeOutcome;
use crate::settings::Settings;
use crate::shared::{Drain, Shared};
use crate::snapshot::{
    CertificateStatus, ConnectionStatus, Counters, DrainReport, ListenerState, ListenerStatus,
    RenewRefusal,
};
use crate::sockets::{Handed, Sockets};
use crate::tls::store::{Live, UnusableFiles};
use crate::tls::ticket_file::TicketFile;
use crate::tls::tickets::{Tickets, unix_time};
use crate::upkeep::Upkeep;
use crate::verdict;
use crate::worker::Workers;

/// The data plane of one daemon. Use it from one control loop: `commit` and `drain` are not
/// meant to overlap.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    upkeep: Arc<Upkeep>,
    workers: Arc<Workers>,
    listeners: Mutex<Listeners>,
    programs: Mutex<Vec<Weak<Program>>>,
}

#[derive(Debug, Default)]
struct Listeners {
    serving: HashMap<(Transport, SocketAddr), Listener>,
    leaving: Vec<Listener>,
}

/// A graph that is ready to be installed.
#[derive(Debug)]
pub struct Prepared {
    program: Program,
    certificates: ReadCertificates,
}

impl Prepared {
    /// Certificates whose files cannot be used, where one from before goes on.
    pub fn kept(&self) -> &[UnusableFiles] {
        &self.certificates.kept
    }
}

/// What reading the files of certificates again came to.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// The names of those that are others from now on.
    pub replaced: Vec<Box<str>>,
    /// Those whose files cannot be used; what was there before goes on.
    pub kept: Vec<UnusableFiles>,
}

impl Engine {
    /// Starts the serving threads. Nothing is accepted yet; the generation is 0. A listener whose
    /// socket is among those that are `handed` over serves that one.
    ///
    /// # Errors
    /// When the system refuses a thread, or random numbers.
    pub fn start(settings: Settings, handed: Handed) -> io::Result<Self> {
        let workers = Arc::new(Workers::start(settings.workers)?);
        let file = TicketFile::below(&settings.state_dir);
        let tickets = Tickets::new(&file.read(), unix_time()).map_err(io::Error::other)?;
        let sockets = Sockets::new(handed);
        let shared = Arc::new(Shared::new(settings, tickets, Program::empty(), sockets));
        let upkeep = Arc::new(Upkeep::new(Arc::clone(&shared), file));
        Ok(Self {
            shared,
            upkeep,
            workers,
            listeners: Mutex::default(),
            programs: Mutex::default(),
        })
    }

    /// Links a graph. Reads the files that its rules name, and touches nothing that
    /// serves. Blocks while it reads.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub fn prepare(&self, graph: Arc<FlowGraph>) -> Result<Prepared, Vec<LinkProblem>> {
        let linked = Program::link(graph, &self.shared.scope());
        linked.map(|(program, certificates)| Prepared { program, certificates })
    }

    /// Installs a graph: swaps one pointer, then opens and closes listeners. Cannot fail; how
    /// each listener fares is told by [`Self::listeners`]. Returns the new generation, once each
    /// added listener is bound or has failed its first attempt.
    ///
    /// # Cancel safety
    /// Not to be dropped before it returns: listeners that are to go may stay.
    pub async fn commit(&self, prepared: Prepared) -> u64 {
        let generation = self.generation() + 1;
        let Prepared { program, certificates } = prepared;
        certificates.fresh.into_iter().for_each(|(live, served)| live.replace(served));
        let program = Arc::new(program.installed(generation));
        self.programs().push(Arc::downgrade(&program));
        let old = self.shared.current.swap(program);
        self.reconcile().await;
        old.retired.cancel();
        if self.graph().listeners.iter().any(|listener| listener.tls.is_some()) {
            self.upkeep.begin().await;
        }
        self.shared.managed.look_after(&self.shared.current.load().certificates);
        generation
    }

    /// Reads the files of certificates again; what is new serves from the next handshake on.
    /// Blocks.
    pub fn refresh_certificates(&self) -> Refreshed {
        let program = self.shared.current.load_full();
        let ReadCertificates { fresh, kept, .. } = read_certificates(&program.certificates);
        let replaced = fresh.iter().map(|(live, _)| live.name.clone()).collect();
        fresh.into_iter().for_each(|(live, served)| live.replace(served));
        Refreshed { replaced, kept }
    }

    /// Tries the listeners that gave up once more. Returns when each has had its first attempt.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the attempts going.
    pub async fn retry_failed(&self) {
        self.reconcile().await;
    }

    /// The number of the installed graph; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.shared.current.load().generation
    }

    /// The installed graph.
    pub fn graph(&self) -> Arc<FlowGraph> {
        Arc::clone(&self.shared.current.load().graph)
    }

    /// How each listener is: those of the installed graph by address, then those that are
    /// leaving and still have connections, then sockets that were handed over in vain.
    pub fn listeners(&self) -> Vec<ListenerStatus> {
        let mut listeners = self.lock();
        listeners.leaving.retain(Listener::is_in_use);
        let mut serving: Vec<_> = listeners.serving.values().map(Listener::status).collect();
        serving.sort_by_key(|listener| (listener.transport, listener.address));
        serving.extend(listeners.leaving.iter().map(Listener::status));
        let unclaimed = self.shared.sockets.unclaimed().into_iter();
        serving.extend(unclaimed.map(|(transport, address, error)| {
            ListenerStatus::unclaimed(transport, address, error)
        }));
        serving
    }

    /// How each open connection is, oldest first.
    pub fn connections(&self) -> Vec<ConnectionStatus> {
        let entries = self.workers.all().iter().flat_map(|each| each.registry.connections());
        let mut connections: Vec<_> = entries
            .map(|entry| ConnectionStatus {
                id: entry.id,
                listener: entry.listener,
                remote: entry.remote,
                kind: entry.kind(),
                generation: entry.generation,
                since: entry.since,
                requests: entry.requests.load(Ordering::Relaxed),
            })
            .collect();
        connections.sort_by_key(|connection| connection.id);
        connections
    }

    /// How each certificate of the installed graph is, in its order.
    pub fn certificates(&self) -> Vec<CertificateStatus> {
        let program = self.shared.current.load_full();
        let now = unix_time();
        let named = program.graph.certificates.iter().zip(&program.certificates);
        let status = |(certificate, live): (&Certificate, &Arc<Live>)| {
            let managed = self.shared.managed.status(live);
            CertificateStatus::of(&certificate.name, live, managed, now)
        };
        named.map(status).collect()
    }

    /// Orders a managed certificate now, whatever its schedule says.
    ///
    /// # Errors
    /// Where there is none of this name that could be ordered.
    pub fn renew(&self, name: &str) -> Result<(), RenewRefusal> {
        let program = self.shared.current.load_full();
        let mut named = program.graph.certificates.iter().zip(&program.certificates);
        let found = named.find(|(certificate, _)| *certificate.name == *name);
        let (_, live) = found.ok_or(RenewRefusal::Unknown)?;
        if self.shared.managed.renew(live) { Ok(()) } else { Err(RenewRefusal::FromFiles) }
    }

    /// Sums since start.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters {
            accepted: self.shared.accepted(),
            refused: self.shared.floor.refused(),
            generations: self.generations(),
            handshakes: self.handshakes(),
            ..Counters::default()
        };
        for registry in self.workers.all().iter().map(|worker| &worker.registry) {
            let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            counters.open_connections += registry.open() as u64;
            counters.active_requests += read(&registry.active);
            counters.requests += read(&registry.requests);
            counters.received += read(&registry.received);
            counters.sent += read(&registry.sent);
            counters.retries += read(&registry.retries);
        }
        counters
    }

    /// Returns once each serving thread has run something that it was given now: never while one of
    /// them is stuck.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn pulse(&self) {
        self.workers.pulse().await;
    }

    /// Stops accepting, lets what is under way finish within `budget`, and cuts off the rest.
    /// Returns as soon as nothing is open.
    ///
    /// # Cancel safety
    /// Dropping the future leaves listeners closed and connections draining.
    pub async fn drain(&self, budget: Duration) -> DrainReport {
        let before = self.shared.cut.counts();
        let drain = Drain::shutdown(budget);
        self.shared.sockets.end();
        self.close(|_| true, drain).await;
        let unused: Vec<_> = self.lock().leaving.iter().map(Listener::unused).collect();
        // Each connection ends itself at the deadline; the second is for those that are late.
        let last = drain.abort_at + Duration::from_secs(1);
        let _ = tokio::time::timeout_at(last, futures_util::future::join_all(unused)).await;
        let after = self.shared.cut.counts();
        let cut_off = after.into_iter().zip(before);
        let cut_off = cut_off.map(|((kind, after), (_, before))| (kind, after - before));
        DrainReport { cut_off: cut_off.filter(|(_, count)| *count > 0).collect() }
    }

    fn handshakes(&self) -> Vec<(HandshakeOutcome, u64)> {
        let workers = self.workers.all();
        let sum = |outcome| workers.iter().map(|each| each.registry.handshakes(outcome)).sum();
        HandshakeOutcome::ALL.into_iter().map(|outcome| (outcome, sum(outcome))).collect()
    }

    /// The generations that something still holds, each with its open connections.
    fn generations(&self) -> Vec<(u64, u64)> {
        let alive = self.programs().iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        let mut counts: BTreeMap<u64, u64> =
            alive.iter().map(|program| (program.generation, 0)).collect();
        counts.entry(self.generation()).or_insert(0);
        for connection in self.connections() {
            *counts.entry(connection.generation).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// Those that something still holds, oldest first.
    fn programs(&self) -> MutexGuard<'_, Vec<Weak<Program>>> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.retain(|program| program.strong_count() > 0);
        programs
    }

    /// Makes the listener set that of the installed graph. Unchanged listeners keep task and
    /// socket; one that had given up is started anew.
    async fn reconcile(&self) {
        let graph = self.graph();
        let wanted: HashMap<_, _> = graph
            .listeners
            .iter()
            .filter(|spec| spec.transport == Transport::Tcp)
            .map(|spec| ((spec.transport, spec.address), spec))
            .collect();
        let gone = |listener: &Listener| {
            let failed = listener.status().state == ListenerState::Failed;
            failed || !wanted.contains_key(&listener.key())
        };
        self.close(gone, Drain::listener(self.shared.settings.drain)).await;
        self.shared.sockets.release(|key| wanted.contains_key(key)).await;
        let added = self.open(wanted.into_values());
        for mut attempted in added {
            // A listener that is gone before its first attempt has nothing to wait for.
            let _ = attempted.wait_for(|tried| *tried).await;
        }
        self.shared.sockets.report();
    }

    /// Starts the listeners that are not serving yet.
    fn open<'g>(&self, wanted: impl Iterator<Item = &'g Spec>) -> Vec<watch::Receiver<bool>> {
        let mut listeners = self.lock();
        let (mut added, mut attempted) = (HashSet::new(), Vec::new());
        for spec in wanted {
            if let Entry::Vacant(place) = listeners.serving.entry((spec.transport, spec.address)) {
                let (shared, workers) = (Arc::clone(&self.shared), Arc::clone(&self.workers));
                let listener = place.insert(Listener::start(spec.clone(), shared, workers));
                attempted.push(listener.attempted());
                added.insert(spec.written.clone());
            }
        }
        for written in added {
            let family = listeners.serving.values().filter(|each| *each.written() == *written);
            tokio::spawn(verdict::report(family.map(Listener::observer).collect()));
        }
        attempted
    }

    /// Closes the sockets of those listeners for which `gone` says so.
    async fn close(&self, gone: impl Fn(&Listener) -> bool, drain: Drain) {
        let mut closing: Vec<Listener> = {
            let mut listeners = self.lock();
            let keys: Vec<_> = listeners
                .serving
                .values()
                .chain(&listeners.leaving)
                .filter(|listener| gone(listener))
                .map(Listener::key)
                .collect();
            keys.iter().filter_map(|key| listeners.serving.remove(key)).collect()
        };
        closing.iter().for_each(Listener::stop);
        for listener in &mut closing {
            listener.close(drain).await;
        }
        let mut listeners = self.lock();
        for listener in &listeners.leaving {
            listener.hasten(drain);
        }
        listeners.leaving.extend(closing);
        listeners.leaving.retain(Listener::is_in_use);
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
