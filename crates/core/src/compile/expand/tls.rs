//! What `tls` asks for: a certificate, for which names, and how it is served.

use std::collections::HashMap;

use crate::compile::expand::{Context, dns};
use crate::config::tls as written;
use crate::diagnostic::code::Code;
use crate::rules::Rule;
use crate::rules::tls::{
    AccountBinding, AcmeAccount, Certificate, CertificateId, CertificateSource, Challenge,
    ClientAuth, Dns, KeyType, Managed, RuleTls, Serving, TlsVersion,
};
use crate::shape::{Keyed, OneOrMany};
use crate::source::{Span, Spanned};
use crate::value::file_path::FilePath;
use crate::value::host_pattern::HostPattern;

/// The certificates so far, and what `config.json` says of managed ones.
#[derive(Debug)]
pub(super) struct Certificates<'a> {
    defaults: Option<&'a written::AcmeSettings>,
    /// What `config.json` says of DNS, if it says something that can be used.
    pub(super) shared_dns: Option<Dns>,
    all: Vec<CertificateSource>,
    known: HashMap<CertificateSource, CertificateId>,
}

impl<'a> Certificates<'a> {
    pub(super) fn new(defaults: Option<&'a written::AcmeSettings>) -> Self {
        Self { defaults, shared_dns: None, all: Vec::new(), known: HashMap::new() }
    }

    fn add(&mut self, source: CertificateSource) -> CertificateId {
        let next = u32::try_from(self.all.len()).expect("fewer than 2^32 certificates");
        *self.known.entry(source.clone()).or_insert_with(|| {
            self.all.push(source);
            CertificateId(next)
        })
    }

    /// All of them with their names. A managed one whose names another one has as well is not
    /// ordered: the rules that ask for it get the other.
    pub(super) fn shared_among(&mut self, rules: &mut [Rule]) -> Vec<Certificate> {
        let all = std::mem::take(&mut self.all);
        let stand_ins: Vec<usize> = (0..all.len()).map(|at| stand_in(&all, at)).collect();
        let mut kept: Vec<usize> = stand_ins.clone();
        kept.sort_unstable();
        kept.dedup();
        for rule in rules.iter_mut().filter_map(|rule| rule.tls.as_mut()) {
            let id = &mut rule.serving.certificate;
            let place = kept.binary_search(&stand_ins[id.0 as usize]);
            *id = CertificateId(u32::try_from(place.unwrap_or_default()).unwrap_or_default());
        }
        named(kept.into_iter().map(|at| all[at].clone()))
    }
}

/// The certificate to use in place of the one at `at`: the largest that covers it, else itself.
fn stand_in(all: &[CertificateSource], at: usize) -> usize {
    let CertificateSource::Acme(inner) = &all[at] else { return at };
    let covers = |outer: &CertificateSource| match outer {
        CertificateSource::Acme(outer) => {
            let alike = Managed { names: inner.names.clone(), ..(**outer).clone() } == **inner;
            alike && inner.names.iter().all(|name| outer.names.contains(name))
        }
        CertificateSource::Files { .. } => false,
    };
    let size = |at: usize| match &all[at] {
        CertificateSource::Acme(managed) => managed.names.len(),
        CertificateSource::Files { .. } => 0,
    };
    let candidates = (0..all.len()).filter(|&other| covers(&all[other]));
    candidates.max_by_key(|&other| (size(other), usize::MAX - other)).unwrap_or(at)
}

fn named(sources: impl Iterator<Item = CertificateSource>) -> Vec<Certificate> {
    let mut taken: HashMap<Box<str>, u32> = HashMap::new();
    let certificate = |source: CertificateSource| {
        let name: Box<str> = match &source {
            CertificateSource::Files { chain, .. } => chain.clone(),
            CertificateSource::Acme(managed) => managed.names[0].to_string().into(),
        };
        let count = taken.entry(name.clone()).or_insert(0);
        *count += 1;
        let name = if *count == 1 { name } else { format!("{name}#{count}").into() };
        Certificate { name, source }
    };
    sources.map(certificate).collect()
}

/// What a written `tls` means; `hosts` are the names that the rule's `match` has.
pub(super) fn expand(
    tls: &Keyed<Box<written::Tls>>,
    hosts: &[HostPattern],
    ctx: &mut Context<'_>,
) -> Option<RuleTls> {
    let names: Vec<_> = match &tls.value.names {
        Some(names) => names.items().iter().map(|name| name.value.clone()).collect(),
        None => hosts.to_vec(),
    };
    let certificate = source(tls, &names, ctx).map(|source| ctx.certificates.add(source))?;
    let default = tls.value.default.as_ref().is_some_and(|default| default.value);
    let serving = Serving {
        certificate,
        min_version: min_version(tls.value.min_version.as_ref()),
        client_auth: tls.value.client_auth.as_ref().map(|auth| client_auth(&auth.value)),
    };
    Some(RuleTls { names, default, serving })
}

/// A managed certificate for `names` as `config.json` says, asked for at `span`.
pub(super) fn managed(span: Span, names: &[HostPattern], ctx: &mut Context<'_>) -> Option<RuleTls> {
    let source = acme(None, span, names, ctx)?;
    let certificate = ctx.certificates.add(source);
    let serving = Serving { certificate, min_version: TlsVersion::Tls12, client_auth: None };
    Some(RuleTls { names: names.to_vec(), default: false, serving })
}

fn source(
    tls: &Keyed<Box<written::Tls>>,
    names: &[HostPattern],
    ctx: &mut Context<'_>,
) -> Option<CertificateSource> {
    let written::Tls { cert_file, key_file, acme: managed, .. } = &*tls.value;
    match (cert_file, key_file, managed) {
        (Some(chain), Some(key), None) => {
            Some(CertificateSource::Files { chain: path(&chain.value), key: path(&key.value) })
        }
        (None, None, Some(settings)) => match &settings.value {
            written::Acme::Default => acme(None, settings.span, names, ctx),
            written::Acme::Settings(own) => acme(Some(own), settings.span, names, ctx),
        },
        (None, None, None) => {
            ctx.error(Code::MissingKey, tls.key, "this `tls` names no certificate")
                .help("write `cert_file` and `key_file`, or `\"acme\": true`");
            None
        }
        (Some(half), None, None) | (None, Some(half), None) => {
            let message = "a certificate is two files: `cert_file` and `key_file`";
            ctx.error(Code::MissingKey, half.span, message).label("the other one is not written");
            None
        }
        (Some(file), _, Some(settings)) | (None, Some(file), Some(settings)) => {
            ctx.error(Code::BadValue, settings.span, "a certificate comes from files or from ACME")
                .secondary(file.span, "this is a file already")
                .help("keep one of the two");
            None
        }
    }
}

fn path(path: &FilePath) -> Box<str> {
    path.as_str().into()
}

fn min_version(written: Option<&Spanned<written::TlsVersion>>) -> TlsVersion {
    match written.map(|version| version.value) {
        None | Some(written::TlsVersion::Tls12) => TlsVersion::Tls12,
        Some(written::TlsVersion::Tls13) => TlsVersion::Tls13,
    }
}

fn client_auth(written: &written::ClientAuth) -> ClientAuth {
    ClientAuth {
        required: written.mode.value == written::ClientAuthMode::Require,
        ca_files: paths(Some(&written.ca_files)),
        crl_files: paths(written.crl_files.as_ref()),
    }
}

fn paths(written: Option<&OneOrMany<Spanned<FilePath>>>) -> Vec<Box<str>> {
    written.iter().flat_map(|files| files.items()).map(|file| path(&file.value)).collect()
}

/// A managed certificate: the rule's own settings over those of `config.json`.
fn acme(
    own: Option<&written::AcmeSettings>,
    span: Span,
    names: &[HostPattern],
    ctx: &mut Context<'_>,
) -> Option<CertificateSource> {
    let settings = Settings { own, shared: ctx.certificates.defaults };
    if names.is_empty() {
        ctx.error(Code::MissingKey, span, "a managed certificate needs names")
            .label("`match` has no exact host")
            .help("write `names` beside it, or match on `http.host` or `tls.sni`");
        return None;
    }
    if !settings.get(|acme| acme.agree_tos.as_ref()).is_some_and(|agreed| agreed.value) {
        ctx.error(
            Code::TermsNotAgreed,
            span,
            "the terms of the certificate authority are not agreed to",
        )
        .label("a certificate is ordered for this")
        .help(
            "once you have read them, write `\"acme\": { \"agree_tos\": true }` in `config.json`",
        );
        return None;
    }
    let challenge = challenge(&settings, span, names, ctx);
    let account = account(&settings, ctx);
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    Some(CertificateSource::Acme(Box::new(Managed {
        names,
        account: account?,
        challenge: challenge?,
        key_type: key_type(settings.get(|acme| acme.key_type.as_ref())),
        renew_before: settings
            .get(|acme| acme.renew_before.as_ref())
            .map(|time| time.value.as_std()),
        profile: settings.get(|acme| acme.profile.as_ref()).map(|name| name.value.as_str().into()),
    })))
}

/// Settings over settings.
#[derive(Clone, Copy)]
struct Settings<'a> {
    own: Option<&'a written::AcmeSettings>,
    shared: Option<&'a written::AcmeSettings>,
}

impl<'a> Settings<'a> {
    /// A setting of the rule, else that of `config.json`.
    fn get<T>(&self, of: impl Fn(&'a written::AcmeSettings) -> Option<&'a T>) -> Option<&'a T> {
        self.own.and_then(&of).or_else(|| self.shared.and_then(&of))
    }
}

fn account(settings: &Settings<'_>, ctx: &mut Context<'_>) -> Option<AcmeAccount> {
    let directory = settings.get(|acme| acme.directory.as_ref());
    if let Some(bad) = directory.filter(|url| !url.value.starts_with("https://")) {
        ctx.error(
            Code::BadUrl,
            bad.span,
            "the directory of a certificate authority is an `https://` URL",
        )
        .help("its documentation names it; for private authorities see `ca_file`");
        return None;
    }
    let contact = settings.get(|acme| acme.contact.as_ref());
    let contact = contact.iter().flat_map(|all| all.items());
    Some(AcmeAccount {
        directory: directory.map_or(LETS_ENCRYPT, |url| url.value.as_str()).into(),
        contact: contact.map(|each| each.value.as_str().into()).collect(),
        binding: settings.get(|acme| acme.eab.as_ref()).map(|eab| AccountBinding {
            key_id: eab.value.key_id.value.as_str().into(),
            hmac_key: eab.value.hmac_key.value.clone(),
        }),
        ca_file: settings.get(|acme| acme.ca_file.as_ref()).map(|file| path(&file.value)),
    })
}

fn challenge(
    settings: &Settings<'_>,
    span: Span,
    names: &[HostPattern],
    ctx: &mut Context<'_>,
) -> Option<Challenge> {
    let wildcard = names.iter().find(|name| matches!(name, HostPattern::OneLabel(_)));
    let chosen = settings.get(|acme| acme.challenge.as_ref());
    let dns = settings.get(|acme| acme.dns.as_ref());
    let kind = chosen.map_or_else(
        || if dns.is_some() { written::Challenge::Dns01 } else { written::Challenge::Http01 },
        |chosen| chosen.value,
    );
    if let Some(wildcard) = wildcard.filter(|_| kind != written::Challenge::Dns01) {
        let message = format!("the wildcard `{wildcard}` can only be proven by `dns-01`");
        ctx.error(Code::ChallengeUnfit, chosen.map_or(span, |chosen| chosen.span), message)
            .label(format!("this means `{}`", kind.as_str()))
            .help("write `\"challenge\": \"dns-01\"` and say under `dns` who is told of records");
        return None;
    }
    match kind {
        written::Challenge::Http01 => Some(Challenge::Http01),
        written::Challenge::TlsAlpn01 => Some(Challenge::TlsAlpn01),
        written::Challenge::Dns01 => provider(settings, span, ctx).map(Challenge::Dns01),
    }
}

/// Who is told of records: the rule's own provider, else that of `config.json`.
fn provider(settings: &Settings<'_>, span: Span, ctx: &mut Context<'_>) -> Option<Dns> {
    if let Some(own) = settings.own.and_then(|acme| acme.dns.as_ref()) {
        return dns::expand(own, ctx);
    }
    if settings.get(|acme| acme.dns.as_ref()).is_none() {
        ctx.error(Code::MissingKey, span, "`dns-01` needs to know who is told of records")
            .help("write `dns` beside `challenge`: one of `rfc2136`, `exec` and `cloudflare`");
    }
    ctx.certificates.shared_dns.clone()
}

fn key_type(written: Option<&Spanned<written::KeyType>>) -> KeyType {
    match written.map(|kind| kind.value) {
        None | Some(written::KeyType::EcdsaP256) => KeyType::EcdsaP256,
        Some(written::KeyType::EcdsaP384) => KeyType::EcdsaP384,
        Some(written::KeyType::Rsa2048) => KeyType::Rsa2048,
        Some(written::KeyType::Rsa4096) => KeyType::Rsa4096,
    }
}

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
