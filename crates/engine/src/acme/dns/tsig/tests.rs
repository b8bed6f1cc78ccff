use vane_core::value::secret::Secret;

use super::*;
use crate::wire::dns::{IN, SOA, TXT, UPDATE, text_data};

/// Made by another implementation (dnspython) from the same messages: algorithm, signature of
/// the update, signature of its answer.
const KNOWN: [(TsigAlgorithm, &str, &str); 3] = [
    (
        TsigAlgorithm::HmacSha256,
        "8bf344bd83c13115d87e0b4e03586f7ad9dea19f618e7069c7a3a0b2e3682e91",
        "ef033f3a4468dd5669af73c6e9e3ae950d3945526795e36b3f5e5e269c216c11",
    ),
    (
        TsigAlgorithm::HmacSha384,
        "c9fc3ea807f8a9586cde4f5fdd1f5a2e2a571fe73977409d537b154875dc6a2c8fee50433783328e7074\
         6733597cbde2",
        "047a2e304034250ca57dd7539d4a67745e134a84b9b1ab988468961a5971fa13e8c14d89ff4cf7feba42\
         44a7eedf7e1c",
    ),
    (
        TsigAlgorithm::HmacSha512,
        "3f8e660f4a4e84df643c502d265627335bf2f735798b936c8f60d81cfb2ba99b2dadaaae4d7244a92e56\
         ccc805c7e06dca057e1d0612137d00455f3b6d070938",
        "aafe6554763fc3f8f7c6f7fa285628b7c5f8d1bfaf3c38f8544ecb677ec72991ecaf6def93be69b41972\
         7a52bab208d6db9c3d17a96f503ba83c9e0689ed75ea",
    ),
];
const NOW: u64 = 1_700_000_000;

fn signer(algorithm: TsigAlgorithm) -> Signer {
    let secret = Secret::new("c2VjcmV0IG9mIHRoZSB0ZXN0");
    Signer::new(&TsigKey { name: "vane.key".into(), algorithm, secret }).unwrap()
}

fn update() -> Writer {
    let name = |text: &str| Name::from_text(text).unwrap();
    let mut update = Writer::new(1, UPDATE);
    update.question(&name("example.test"), SOA);
    let (owner, data) = (name("_acme-challenge.example.test"), text_data("abc"));
    let record = NewRecord { name: &owner, kind: TXT, class: IN, ttl: 60, data: &data };
    update.record(Section::Authority, &record);
    update
}

/// The answer to the update, signed with `mac` at `NOW + 1`, with a TSIG error and its data.
fn answer(signer: &Signer, mac: &[u8], error: u16, other: &[u8]) -> Vec<u8> {
    let mut answer = Writer::new(1, UPDATE);
    answer.question(&Name::from_text("example.test").unwrap(), SOA);
    let times = Times { signed: NOW + 1, fudge: FUDGE };
    let lengths = [mac.len(), other.len()].map(|length| u16::try_from(length).unwrap());
    let data = [
        signer.algorithm.wire(),
        &times.wire(),
        &lengths[0].to_be_bytes(),
        mac,
        &[0, 1],
        &error.to_be_bytes(),
        &lengths[1].to_be_bytes(),
        other,
    ]
    .concat();
    let record = NewRecord { name: &signer.name, kind: TSIG, class: ANY, ttl: 0, data: &data };
    answer.record(Section::Additional, &record);
    let mut bytes = answer.bytes().to_vec();
    bytes[2] |= 0x80;
    bytes
}

fn verdict(signer: &Signer, bytes: &[u8], request: &[u8], now: u64) -> Result<(), TsigFailure> {
    signer.verify(bytes, &Message::parse(bytes).unwrap(), request, now)
}

#[test]
fn signatures_are_those_of_another_implementation() {
    for (algorithm, of_update, of_answer) in KNOWN {
        let signer = signer(algorithm);
        let mac = signer.sign(&mut update(), NOW);
        assert_eq!(hex(&mac), of_update, "{algorithm:?}");
        let bytes = answer(&signer, &unhex(of_answer), 0, &[]);
        assert_eq!(verdict(&signer, &bytes, &mac, NOW + 2), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn a_changed_answer_is_not_believed() {
    let signer = signer(TsigAlgorithm::HmacSha256);
    let mac = signer.sign(&mut update(), NOW);
    let good = answer(&signer, &unhex(KNOWN[0].2), 0, &[]);
    let forged = Err(TsigFailure::Forged);
    for at in [3, HEADER + 1, good.len() - 20] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(verdict(&signer, &bytes, &mac, NOW), forged, "{at}");
    }
    assert_eq!(verdict(&signer, &good, &[0; 32], NOW), forged);
    let cut = answer(&signer, &unhex(KNOWN[0].2)[..16], 0, &[]);
    assert_eq!(verdict(&signer, &cut, &mac, NOW), forged);
    let unsigned = update().bytes().to_vec();
    assert_eq!(verdict(&signer, &unsigned, &mac, NOW), Err(TsigFailure::Unsigned));
}

#[test]
fn clocks_may_be_five_minutes_apart() {
    let signer = signer(TsigAlgorithm::HmacSha256);
    let mac = signer.sign(&mut update(), NOW);
    let good = answer(&signer, &unhex(KNOWN[0].2), 0, &[]);
    assert_eq!(verdict(&signer, &good, &mac, NOW + 301), Ok(()));
    let late = TsigFailure::Clock { theirs: Some(NOW + 1), ours: NOW + 302 };
    assert_eq!(verdict(&signer, &good, &mac, NOW + 302), Err(late));
    let expected = "its clock is 301 seconds behind that of this machine (BADTIME); set both";
    assert_eq!(late.to_string(), expected);
}

#[test]
fn errors_of_the_server_are_told_apart() {
    let signer = signer(TsigAlgorithm::HmacSha256);
    let theirs = (NOW + 1000).to_be_bytes();
    let clock = TsigFailure::Clock { theirs: Some(NOW + 1000), ours: NOW };
    for (error, other, expected) in [
        (16, &[][..], TsigFailure::BadSignature),
        (17, &[], TsigFailure::UnknownKey),
        (18, &theirs[2..], clock),
        (18, &[], TsigFailure::Clock { theirs: None, ours: NOW }),
        (22, &[], TsigFailure::Other(22)),
    ] {
        let bytes = answer(&signer, &[], error, other);
        assert_eq!(verdict(&signer, &bytes, &[], NOW), Err(expected));
    }
}

#[test]
fn a_key_is_not_shown() {
    let shown = format!("{:?}", signer(TsigAlgorithm::HmacSha256));
    assert_eq!(shown, "Signer { name: vane.key, .. }");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}
