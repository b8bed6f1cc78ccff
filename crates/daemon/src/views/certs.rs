//! Certificates in the types of the wire.

use vane_core::value::suggest::nearest;
use vane_engine::snapshot::{
    self, CertificateOrigin, CertificateState, CertificateStatus, ManagedStatus,
};
use vane_engine::tls::certificate::CertificateFacts;
use vane_mgmt::views::{
    CertSource, CertState, CertView, CertsView, ManagedCert, RenewRefusal, RenewRefusedView,
    RenewView, RenewalWindow, ServedCert,
};

use crate::world::World;

/// The result of `get_certs`.
pub(crate) fn certs(world: &World) -> CertsView {
    CertsView { certs: world.engine.certificates().into_iter().map(cert).collect() }
}

/// The result of `force_renew` for a certificate, of which an order has been asked for.
pub(crate) fn renewed(name: String, certificates: &[CertificateStatus]) -> RenewView {
    let asked = certificates.iter().find(|certificate| *certificate.name == *name);
    // One that a reload has just taken away has nothing that serves.
    let status = asked.map_or(CertState::Missing, |certificate| state(certificate.state));
    RenewView { name, asked: true, state: status }
}

/// Why there is no order for `name`, where these are the certificates: in words, and as the data
/// of the answer.
pub(crate) fn refused(
    name: String,
    refusal: snapshot::RenewRefusal,
    certificates: &[CertificateStatus],
) -> (String, RenewRefusedView) {
    let (reason, near) = match refusal {
        snapshot::RenewRefusal::FromFiles => (RenewRefusal::FromFiles, None),
        snapshot::RenewRefusal::Unknown => (RenewRefusal::Unknown, meant(&name, certificates)),
    };
    let words = match (reason, &near) {
        (RenewRefusal::Unknown, Some(near)) => {
            format!("there is no certificate `{name}`: did you mean `{near}`?")
        }
        (RenewRefusal::Unknown, None) => {
            format!("there is no certificate `{name}`: `vane get certs` lists those there are")
        }
        _ => format!(
            "the certificate `{name}` comes from files: it is renewed by whoever writes them"
        ),
    };
    (words, RenewRefusedView { name, reason, near })
}

/// The certificate that somebody may mean by a name that none is called by: one that is for it,
/// else the one that is called nearly so.
fn meant(name: &str, certificates: &[CertificateStatus]) -> Option<String> {
    let is_for_it = certificates.iter().find(|certificate| is_for(certificate, name));
    let called = || certificates.iter().map(|certificate| &*certificate.name);
    let found = is_for_it.map(|certificate| &*certificate.name);
    found.or_else(|| nearest(name, called())).map(str::to_owned)
}

fn is_for(certificate: &CertificateStatus, name: &str) -> bool {
    let is_ordered = match &certificate.source {
        CertificateOrigin::Acme { names, .. } => names.iter().any(|ordered| ordered == name),
        CertificateOrigin::Files { .. } => false,
    };
    is_ordered || certificate.served.as_ref().is_some_and(|facts| facts.covers(name))
}

fn cert(status: CertificateStatus) -> CertView {
    CertView {
        name: status.name.into(),
        source: source(status.source),
        state: state(status.state),
        served: status.served.map(served),
        managed: status.managed.as_ref().map(managed),
        last_error: status.last_error,
    }
}

fn source(origin: CertificateOrigin) -> CertSource {
    match origin {
        CertificateOrigin::Files { chain, key } => {
            CertSource::Files { cert_file: chain.into(), key_file: key.into() }
        }
        CertificateOrigin::Acme { directory, challenge, names } => {
            let (directory, challenge) = (directory.into(), challenge.to_owned());
            CertSource::Acme { directory, challenge, names }
        }
    }
}

fn state(state: CertificateState) -> CertState {
    match state {
        CertificateState::Missing => CertState::Missing,
        CertificateState::Serving => CertState::Serving,
        CertificateState::Failing => CertState::Failing,
        CertificateState::Expired => CertState::Expired,
    }
}

fn served(facts: CertificateFacts) -> ServedCert {
    let addresses = facts.addresses.iter().map(ToString::to_string);
    ServedCert {
        names: facts.names.into_iter().map(String::from).chain(addresses).collect(),
        issuer: facts.issuer,
        serial: facts.serial,
        not_before: facts.not_before,
        not_after: facts.not_after,
    }
}

fn managed(status: &ManagedStatus) -> ManagedCert {
    let window = status.renewal_window.map(|(start, end)| RenewalWindow { start, end });
    ManagedCert {
        ordering: status.ordering,
        failures: status.failures,
        last_attempt: status.last_attempt,
        next_attempt: status.next_attempt,
        renewal_window: window,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_files() -> CertificateStatus {
        let (chain, key) = ("/tls/site.pem".into(), "/tls/site.key".into());
        CertificateStatus {
            name: "/tls/site.pem".into(),
            source: CertificateOrigin::Files { chain, key },
            state: CertificateState::Failing,
            served: Some(CertificateFacts {
                names: vec!["site.test".into(), "*.site.test".into()],
                addresses: vec!["192.0.2.1".parse().expect("an address")],
                issuer: "CN=Test".to_owned(),
                serial: "0a".to_owned(),
                not_before: 1,
                not_after: 2,
            }),
            managed: None,
            last_error: Some("cannot read it".to_owned()),
        }
    }

    fn managed_one() -> CertificateStatus {
        CertificateStatus {
            name: "example.com".into(),
            source: CertificateOrigin::Acme {
                directory: "https://ca.test/dir".into(),
                challenge: "dns-01",
                names: vec!["example.com".to_owned(), "shop.example.com".to_owned()],
            },
            state: CertificateState::Missing,
            served: None,
            managed: Some(ManagedStatus {
                ordering: false,
                failures: 3,
                last_attempt: Some(4),
                next_attempt: 5,
                renewal_window: Some((6, 7)),
            }),
            last_error: None,
        }
    }

    #[test]
    fn a_certificate_from_files_shows_its_files_its_names_and_what_went_wrong() {
        let view = cert(from_files());
        let (cert_file, key_file) = ("/tls/site.pem".to_owned(), "/tls/site.key".to_owned());
        assert_eq!(CertSource::Files { cert_file, key_file }, view.source);
        let served = view.served.expect("it serves");
        assert_eq!(["site.test", "*.site.test", "192.0.2.1"], *served.names);
        assert_eq!((CertState::Failing, None), (view.state, view.managed));
        assert_eq!(Some("cannot read it"), view.last_error.as_deref());
    }

    #[test]
    fn a_managed_certificate_shows_what_is_ordered_and_when() {
        let view = cert(managed_one());
        assert!(matches!(view.source, CertSource::Acme { names, .. } if names.len() == 2));
        let managed = view.managed.expect("it is managed");
        assert_eq!((3, Some(4), 5), (managed.failures, managed.last_attempt, managed.next_attempt));
        assert_eq!(Some(RenewalWindow { start: 6, end: 7 }), managed.renewal_window);
        assert_eq!((CertState::Missing, None), (view.state, view.served));
    }

    #[test]
    fn a_name_that_no_certificate_has_leads_to_the_one_that_is_meant() {
        for (name, expected) in [
            ("exampel.com", Some("example.com")),
            ("shop.example.com", Some("example.com")),
            ("www.site.test", Some("/tls/site.pem")),
            ("192.0.2.1", Some("/tls/site.pem")),
            ("quite.different.org", None),
        ] {
            let all = [from_files(), managed_one()];
            let (words, data) = refused(name.to_owned(), snapshot::RenewRefusal::Unknown, &all);
            assert_eq!((expected, name), (data.near.as_deref(), &*data.name));
            let hint = expected.map_or("`vane get certs`".to_owned(), |near| format!("`{near}`?"));
            assert!(words.contains(&hint), "{words}");
        }
    }

    #[test]
    fn a_renewal_shows_the_state_at_which_it_was_asked_for() {
        let view = renewed("example.com".to_owned(), &[from_files(), managed_one()]);
        assert_eq!((true, CertState::Missing), (view.asked, view.state));
    }
}
