use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::pebble::Pebble;
use integration::vaned::Vaned;
use integration::wait::{pass, until};
use rcgen::{KeyPair, PublicKeyData};
use rustix::process::Signal;
use serde_json::Value;
use x509_parser::pem::parse_x509_pem;

use super::LIMIT;
use super::rig::{NAME, Rig, renew};

/// S4. Wherever issuance or renewal is cut short, the next process can read what is there, no
/// key is lost that the authority has signed, and nobody else can read one.
#[tokio::test]
async fn a_kill_at_any_point_loses_no_key_and_shows_none() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let whole = whole(&rig).await;
    let mut longest = whole;
    let mut issued_before = 0;
    let mut outcomes = [0; 3];
    for round in 0..ROUNDS {
        let kind = prepare(&rig);
        if kind == Kind::Issuance {
            issued_before = issued(&rig.pebble).len();
        }
        // Where the machine has become slower, orders would never come to their end.
        longest = if kind == Kind::Resumption { longest.mul_f64(1.1) } else { whole };
        // Multiples of the golden ratio are spread evenly, however many there are.
        let point = longest.mul_f64((round as f64 * 0.618_034).fract());
        let vaned = cut_short(&rig, kind, point).await;
        let damage = vaned.log_lines().into_iter().find(|line| line.contains("counts as missing"));
        assert_eq!(None, damage, "round {round}");
        assert_stored(&rig, issued_before, round).await;
        outcomes[kind as usize] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > ROUNDS / 20), "some of each: {outcomes:?}");
    let vaned = rig.start().await;
    let stored = &state(&rig)["attempt"]["failures"];
    // One that failed is tried again after a minute, which is not waited for here.
    if stored.as_u64().is_some_and(|failures| failures > 0) {
        renew(&vaned, NAME).await;
    }
    rig.issued(&vaned, NAME).await;
    rig.assert_private();
}

/// What a round begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing is stored.
    Issuance,
    /// A certificate is stored, and asked for anew.
    Renewal,
    /// An order is stored.
    Resumption,
}

/// Every other certificate that has come is thrown away.
fn prepare(rig: &Rig) -> Kind {
    if !rig.stored("order.json").is_empty() {
        return Kind::Resumption;
    }
    let Some(pem) = rig.stored("certificate.pem").pop() else { return Kind::Issuance };
    if fs::read(&pem).unwrap().iter().map(|byte| usize::from(*byte)).sum::<usize>() % 2 == 0 {
        return Kind::Renewal;
    }
    fs::remove_dir_all(pem.parent().unwrap()).unwrap();
    Kind::Issuance
}

/// How long it takes here and now from the start of a daemon to its certificate, which is thrown
/// away.
async fn whole(rig: &Rig) -> Duration {
    let began = Instant::now();
    let vaned = rig.daemon().spawn();
    let stored = async || rig.stored("certificate.pem").pop();
    let pem = until("a certificate", LIMIT, stored).await;
    let whole = began.elapsed();
    drop(vaned);
    fs::remove_dir_all(pem.parent().unwrap()).unwrap();
    whole
}

/// Starts a daemon and kills it so long after.
async fn cut_short(rig: &Rig, kind: Kind, point: Duration) -> Vaned {
    let mut vaned = rig.daemon().spawn();
    if kind == Kind::Renewal {
        vaned.ready().await;
        renew(&vaned, NAME).await;
    }
    pass(point).await;
    vaned.signal(Signal::KILL);
    vaned.exit_status(LIMIT).await;
    vaned
}

/// The key of the certificate that was issued last is stored, and what is stored belongs together.
async fn assert_stored(rig: &Rig, issued_before: usize, round: usize) {
    rig.assert_private();
    let mut keys = Vec::new();
    for path in rig.stored("order.json") {
        let order: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        keys.push(public_key(order["key"].as_str().unwrap()));
    }
    for path in rig.stored("certificate.pem") {
        keys.push(key_of_pair(&path));
    }
    let serials = issued(&rig.pebble);
    if let Some(serial) = serials[issued_before..].last() {
        let status = rig.pebble.certificate_status(serial).await;
        let signed = key_of_certificate(status["Certificate"].as_str().unwrap());
        assert!(keys.contains(&signed), "round {round}: the key of {serial} is lost");
    }
}

/// The serial numbers of all certificates that were issued, in order.
fn issued(pebble: &Pebble) -> Vec<String> {
    let lines = pebble.log_lines();
    let serial = |line: &String| {
        let (_, rest) = line.split_once("Issued certificate serial ")?;
        rest.split(' ').next().map(str::to_owned)
    };
    lines.iter().filter_map(serial).collect()
}

fn key_of_pair(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    let (key, chain) = text.split_at(text.find("-----BEGIN CERTIFICATE").unwrap());
    let key = public_key(&key[key.find("-----BEGIN").unwrap()..]);
    assert_eq!(key, key_of_certificate(chain));
    key
}

fn key_of_certificate(pem: &str) -> Vec<u8> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
    pem.parse_x509().unwrap().public_key().raw.to_vec()
}

fn public_key(pem: &str) -> Vec<u8> {
    KeyPair::from_pem(pem).unwrap().subject_public_key_info()
}

fn state(rig: &Rig) -> Value {
    let stored = rig.stored("state.json").pop().and_then(|path| fs::read(path).ok());
    serde_json::from_slice(&stored.unwrap_or_default()).unwrap_or_default()
}

const ROUNDS: usize = 100;
