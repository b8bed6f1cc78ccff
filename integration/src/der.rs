//! From a key in PKCS#8 to its older forms.

/// The key in the first version of PKCS#8 (RFC 5208), as OpenSSL writes it, without the public key
/// that the second has beside it (RFC 5958).
pub(crate) fn pkcs8_v1(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let (algorithm, key) = parts(pkcs8)?;
    let fields = [wrapped(INTEGER, &[0]), wrapped(SEQUENCE, algorithm), wrapped(OCTET_STRING, key)];
    Some(wrapped(SEQUENCE, &fields.concat()))
}

/// The `ECPrivateKey` (RFC 5915) in a PKCS#8 key. It names the curve itself, as it has to where
/// nothing stands around it.
pub(crate) fn sec1(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let (algorithm, key) = parts(pkcs8)?;
    let (_, algorithm) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (fields, _) = element(key, SEQUENCE)?;
    let (_, after_version) = element(fields, INTEGER)?;
    let (_, rest) = element(after_version, OCTET_STRING)?;
    let before = &fields[..fields.len() - rest.len()];
    let curve = match rest.first() {
        Some(&PARAMETERS) => Vec::new(),
        _ => wrapped(PARAMETERS, algorithm),
    };
    Some(wrapped(SEQUENCE, &[before, &curve, rest].concat()))
}

/// The `RSAPrivateKey` (RFC 8017) in a PKCS#8 key.
pub(crate) fn pkcs1(pkcs8: &[u8]) -> Option<Vec<u8>> {
    parts(pkcs8).map(|(_, key)| key.to_vec())
}

/// What stands in the algorithm and in the key.
fn parts(pkcs8: &[u8]) -> Option<(&[u8], &[u8])> {
    let (fields, _) = element(pkcs8, SEQUENCE)?;
    let (_, rest) = element(fields, INTEGER)?;
    let (algorithm, rest) = element(rest, SEQUENCE)?;
    let (key, _) = element(rest, OCTET_STRING)?;
    Some((algorithm, key))
}

/// The contents of the element at the beginning, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk()?;
    if found != tag {
        return None;
    }
    if first < LONG_FORM {
        return rest.split_at_checked(usize::from(first));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(first - LONG_FORM))?;
    let length = digits.iter().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

fn wrapped(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let head = match u8::try_from(length) {
        Ok(short) if short < LONG_FORM => vec![tag, short],
        Ok(byte) => vec![tag, LONG_FORM + 1, byte],
        Err(_) => vec![tag, LONG_FORM + 2, (length >> 8) as u8, length as u8],
    };
    [head.as_slice(), contents].concat()
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0]` of an `ECPrivateKey`: which curve it lies on.
const PARAMETERS: u8 = 0xa0;
const LONG_FORM: u8 = 0x80;
