//! `vane get certs`: how are the certificates?

use std::time::SystemTime;

use vane_mgmt::request::Request;
use vane_mgmt::views::{CertSource, CertState, CertView, CertsView, ManagedCert, ServedCert};

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::palette::Palette;
use crate::output::table::{Cell, Tone, lines};
use crate::output::words::{day, distance};

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| seconds(since.as_secs()));
    context.show(&Request::GetCerts, |view, palette| rendered(view, now, palette))
}

/// The table at `now`, in seconds since 1970, with what went wrong below its certificate.
fn rendered(view: &CertsView, now: i64, palette: Palette) -> String {
    if view.certs.is_empty() {
        return "there are no certificates\n".to_owned();
    }
    let rows: Vec<_> = view.certs.iter().map(|cert| row(cert, now)).collect();
    let lines = lines(HEADINGS, &rows, palette);
    let errors = view.certs.iter().map(|cert| error(cert, palette));
    let below = std::iter::once(String::new()).chain(errors);
    lines.into_iter().zip(below).map(|(line, below)| line + &below).collect()
}

fn row(cert: &CertView, now: i64) -> [Cell; 6] {
    let served = cert.served.as_ref();
    let issuer = served.map(|served| common_name(&served.issuer));
    let expires = served.map(|served| expires(served, now));
    let next = cert.managed.as_ref().map(|managed| next_attempt(managed, now));
    [
        cert.name.as_str().into(),
        Cell::toned(&cert.state, tone(cert.state)),
        shortened(names(cert)).into(),
        issuer.unwrap_or(NOTHING).into(),
        expires.as_deref().unwrap_or(NOTHING).into(),
        next.as_deref().unwrap_or(NOTHING).into(),
    ]
}

fn tone(state: CertState) -> Tone {
    match state {
        CertState::Serving => Tone::Good,
        CertState::Missing | CertState::Failing => Tone::Uneasy,
        CertState::Expired => Tone::Bad,
    }
}

/// Those of the one that serves, or else those that are ordered.
fn names(cert: &CertView) -> &[String] {
    match (&cert.served, &cert.source) {
        (Some(served), _) => &served.names,
        (None, CertSource::Acme { names, .. }) => names,
        (None, CertSource::Files { .. }) => &[],
    }
}

fn shortened(names: &[String]) -> String {
    match names {
        [] => NOTHING.to_owned(),
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, +{}", rest.len())
        }
        few => few.join(", "),
    }
}

/// The common name in a distinguished name such as `C=US, O=Example, CN=R11`; the whole where it
/// has none. A comma in a name is not escaped there.
fn common_name(issuer: &str) -> &str {
    let behind = issuer.strip_prefix("CN=").or_else(|| Some(issuer.split_once(", CN=")?.1));
    let Some(name) = behind else { return issuer };
    let mut commas = name.match_indices(", ").map(|(at, _)| at);
    let end = commas.find(|at| begins_attribute(&name[at + 2..]));
    end.map_or(name, |end| &name[..end])
}

fn begins_attribute(text: &str) -> bool {
    let is_key = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    text.split_once('=').is_some_and(|(key, _)| is_key(key))
}

fn expires(served: &ServedCert, now: i64) -> String {
    format!("{} ({})", day(served.not_after), distance(served.not_after, now))
}

fn next_attempt(managed: &ManagedCert, now: i64) -> String {
    let next = seconds(managed.next_attempt);
    match managed.ordering {
        true => "under way".to_owned(),
        // What is due is tried now, however long it has been due.
        false => distance(next.max(now), now),
    }
}

fn error(cert: &CertView, palette: Palette) -> String {
    let Some(error) = &cert.last_error else { return String::new() };
    let failures = cert.managed.as_ref().map_or(0, |managed| managed.failures);
    let times = if failures > 1 { format!(" ({failures} in a row)") } else { String::new() };
    format!("  {}\n", Cell::toned(&format!("error{times}: {error}"), Tone::Bad).painted(palette))
}

fn seconds(since_1970: u64) -> i64 {
    i64::try_from(since_1970).unwrap_or(i64::MAX)
}

const HEADINGS: [&str; 6] = ["NAME", "STATE", "NAMES", "ISSUER", "EXPIRES", "NEXT ATTEMPT"];
const NOTHING: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    const NOW: i64 = 1_700_000_000;
    const DAY: i64 = 86_400;

    fn from_files(name: &str, not_after: i64) -> CertView {
        let name = name.to_owned();
        let (cert_file, key_file) = (name.clone(), name.clone());
        let served = ServedCert {
            names: vec!["a.test".to_owned(), "192.0.2.1".to_owned()],
            issuer: "C=US, O=Example, CN=R11".to_owned(),
            serial: "0a".to_owned(),
            not_before: 0,
            not_after,
        };
        let (source, state) = (CertSource::Files { cert_file, key_file }, CertState::Serving);
        CertView { name, source, state, served: Some(served), managed: None, last_error: None }
    }

    fn managed(name: &str, next_attempt: i64) -> CertView {
        let names = ["b.test", "www.b.test", "x.b.test", "y.b.test"].map(str::to_owned).to_vec();
        let (directory, challenge) = ("https://ca.test".to_owned(), "http-01".to_owned());
        let managed = ManagedCert {
            ordering: false,
            failures: 0,
            last_attempt: None,
            next_attempt: next_attempt.unsigned_abs(),
            renewal_window: None,
        };
        CertView {
            name: name.to_owned(),
            source: CertSource::Acme { directory, challenge, names },
            state: CertState::Missing,
            served: None,
            managed: Some(managed),
            last_error: None,
        }
    }

    #[test]
    fn each_certificate_is_a_row_with_its_error_below() {
        let mut failing = managed("b.test", NOW + 3 * DAY);
        failing.served = from_files("", NOW + 12 * DAY).served;
        failing.state = CertState::Failing;
        failing.last_error = Some("rateLimited: too many\ncertificates".to_owned());
        failing.managed.as_mut().expect("it is managed").failures = 3;
        let certs = vec![from_files("/tls/a.pem", NOW + 61 * DAY), failing, managed("c", NOW - 9)];
        let expected = "\
NAME        STATE    NAMES                   ISSUER  EXPIRES                  NEXT ATTEMPT
/tls/a.pem  serving  a.test, 192.0.2.1       R11     2024-01-14 (in 61 days)  -
b.test      failing  a.test, 192.0.2.1       R11     2023-11-26 (in 12 days)  in 3 days
  error (3 in a row): rateLimited: too many certificates
c           missing  b.test, www.b.test, +2  -       -                        now
";
        assert_eq!(expected, rendered(&CertsView { certs }, NOW, Palette::Plain));
    }

    #[test]
    fn an_order_under_way_is_told_apart_from_one_that_is_due() {
        let mut cert = managed("b.test", NOW);
        let next = |cert: &CertView| next_attempt(cert.managed.as_ref().expect("managed"), NOW);
        assert_eq!("now", next(&cert));
        cert.managed.as_mut().expect("it is managed").ordering = true;
        assert_eq!("under way", next(&cert));
    }

    #[test]
    fn of_an_issuer_the_common_name_is_shown() {
        for (issuer, expected) in [
            ("CN=R11", "R11"),
            ("C=US, O=Let's Encrypt, CN=R11", "R11"),
            ("CN=Example, Inc. Root, O=Example, Inc.", "Example, Inc. Root"),
            ("O=Example", "O=Example"),
            ("", ""),
        ] {
            assert_eq!(expected, common_name(issuer));
        }
    }

    #[test]
    fn no_certificates_is_said_in_words() {
        let none = CertsView { certs: Vec::new() };
        assert_eq!("there are no certificates\n", rendered(&none, NOW, Palette::Plain));
    }
}
