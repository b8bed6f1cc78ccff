//! Which certificate a handshake gets, and under which terms.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use vane_core::graph::ListenerTls;
use vane_core::rules::tls::{ClientAuth, RuleTls, Serving, TlsVersion};
use vane_core::value::host_pattern::HostPattern;

use crate::tls::client_auth::{UnusableAuthority, Verifier};
use crate::tls::provider;
use crate::tls::store::Live;
use crate::tls::tickets::Tickets;

/// What handshakes on one listener are answered with.
#[derive(Debug, Default)]
pub(crate) struct LinkedTls {
    exact: HashMap<Box<str>, Arc<Choice>>,
    one_label: HashMap<Box<str>, Arc<Choice>>,
    unnamed: Vec<Arc<Choice>>,
    default: Option<Arc<Choice>>,
}

/// A certificate and the terms under which it is served.
pub(crate) struct Choice {
    /// The certificate.
    pub(crate) certificate: Arc<Live>,
    /// The terms.
    pub(crate) config: Arc<ServerConfig>,
    /// Equal for equal terms, whatever the certificate.
    terms: (TlsVersion, Option<ClientAuth>),
}

impl Choice {
    /// Whether a rule may have what came over a connection that was served so. One that wants
    /// certificates of its clients is reached by nobody who was not asked for one in just that way,
    /// although its `match` may leave room for hosts of rules that ask for none.
    pub(crate) fn satisfies(&self, rule: Option<&RuleTls>) -> bool {
        let asked = rule.and_then(|tls| tls.serving.client_auth.as_ref());
        let wanted = asked.filter(|auth| auth.required);
        wanted.is_none() || wanted == self.terms.1.as_ref()
    }
}

impl LinkedTls {
    /// What a handshake for `name` gets: lower case; nothing where it is to be refused.
    pub(crate) fn choose(&self, name: Option<&str>) -> Option<&Arc<Choice>> {
        name.and_then(|name| self.named(name)).or(self.default.as_ref())
    }

    /// Whether a request for `host` may come over a connection whose handshake got `chosen` for
    /// another name, RFC 9110 §7.4: the certificate covers the host, and a handshake for it would
    /// have had the same terms.
    pub(crate) fn may_carry(&self, chosen: &Arc<Choice>, host: &str) -> bool {
        let covers = || {
            let served = chosen.certificate.served();
            served.is_some_and(|served| served.facts.covers(host))
        };
        match self.choose(Some(host)) {
            Some(own) if Arc::ptr_eq(own, chosen) => true,
            Some(own) => own.terms == chosen.terms && covers(),
            None => covers(),
        }
    }

    fn named(&self, name: &str) -> Option<&Arc<Choice>> {
        let wildcard = || self.one_label.get(name.split_once('.')?.1);
        let own_names = || {
            let covers = |choice: &&Arc<Choice>| {
                choice.certificate.served().is_some_and(|served| served.facts.covers(name))
            };
            self.unnamed.iter().find(covers)
        };
        self.exact.get(name).or_else(wildcard).or_else(own_names)
    }
}

/// Builds what listeners serve; the same serving is built once.
pub(crate) struct Linker<'a> {
    certificates: &'a [Arc<Live>],
    tickets: &'a Arc<Tickets>,
    verifiers: HashMap<ClientAuth, Arc<Verifier>>,
    built: HashMap<(Serving, bool), Arc<Choice>>,
    /// Files that cannot be used, each once.
    pub(crate) problems: Vec<UnusableAuthority>,
}

impl<'a> Linker<'a> {
    pub(crate) fn new(certificates: &'a [Arc<Live>], tickets: &'a Arc<Tickets>) -> Self {
        Self {
            certificates,
            tickets,
            verifiers: HashMap::new(),
            built: HashMap::new(),
            problems: Vec::new(),
        }
    }

    /// Links one listener. Reads files of authorities; what cannot be used goes to the problems,
    /// and the result is then not to be used. Blocks.
    pub(crate) fn link(&mut self, tls: &ListenerTls) -> LinkedTls {
        let mut linked = LinkedTls::default();
        for (name, serving) in &tls.named {
            let Some(choice) = self.choice(serving, tls.http) else { continue };
            match name {
                HostPattern::Exact(name) => linked.exact.insert(name.clone(), choice),
                HostPattern::OneLabel(parent) => linked.one_label.insert(parent.clone(), choice),
            };
        }
        let unnamed = tls.unnamed.iter().filter_map(|serving| self.choice(serving, tls.http));
        linked.unnamed = unnamed.collect();
        linked.default = tls.default.as_ref().and_then(|serving| self.choice(serving, tls.http));
        linked
    }

    fn choice(&mut self, serving: &Serving, http: bool) -> Option<Arc<Choice>> {
        if let Some(choice) = self.built.get(&(serving.clone(), http)) {
            return Some(Arc::clone(choice));
        }
        let verifier = match &serving.client_auth {
            Some(auth) => Some(self.verifier(auth)?),
            None => None,
        };
        let certificate = Arc::clone(&self.certificates[serving.certificate.0 as usize]);
        let config = config(serving, http, &certificate, verifier.as_deref(), self.tickets);
        let terms = (serving.min_version, serving.client_auth.clone());
        let choice = Arc::new(Choice { certificate, config: Arc::new(config), terms });
        self.built.insert((serving.clone(), http), Arc::clone(&choice));
        Some(choice)
    }

    fn verifier(&mut self, auth: &ClientAuth) -> Option<Arc<Verifier>> {
        if let Some(verifier) = self.verifiers.get(auth) {
            return Some(Arc::clone(verifier));
        }
        match Verifier::read(auth) {
            Ok(verifier) => {
                let verifier = Arc::new(verifier);
                self.verifiers.insert(auth.clone(), Arc::clone(&verifier));
                Some(verifier)
            }
            Err(problem) => {
                if self.problems.iter().all(|known| known.path != problem.path) {
                    self.problems.push(problem);
                }
                None
            }
        }
    }
}

fn config(
    serving: &Serving,
    http: bool,
    certificate: &Arc<Live>,
    verifier: Option<&Verifier>,
    tickets: &Arc<Tickets>,
) -> ServerConfig {
    let versions = match serving.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("the provider has suites for both versions");
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(&verifier.verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Resolver(Arc::clone(certificate))));
    if http {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    // All suites are good; the order is ours so that it does not depend on who asks.
    config.ignore_client_order = true;
    let profile = verifier.map_or([0; 32], |verifier| verifier.digest);
    config.ticketer = tickets.for_profile(profile);
    config
}

/// Gives whatever serves at the moment of the handshake.
struct Resolver(Arc<Live>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.served().map(|served| Arc::clone(&served.key))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({})", self.0.name)
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Choice({})", self.certificate.name)
    }
}
