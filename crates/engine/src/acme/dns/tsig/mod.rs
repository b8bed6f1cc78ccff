//! Signatures of messages with a shared key, [RFC 8945](https://www.rfc-editor.org/rfc/rfc8945).

#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vane_core::rules::tls::{TsigAlgorithm, TsigKey};

use crate::wire::dns::{ANY, HEADER, Message, Name, NewRecord, Record, Section, TSIG, Writer};

/// A key, ready to sign.
pub(crate) struct Signer {
    name: Name,
    algorithm: Name,
    key: hmac::Key,
}

impl Signer {
    /// From what the operator wrote; none when the name or the secret is none, which the compiler
    /// has ruled out.
    pub(crate) fn new(key: &TsigKey) -> Option<Self> {
        let (algorithm, words) = match key.algorithm {
            TsigAlgorithm::HmacSha256 => (hmac::HMAC_SHA256, "hmac-sha256"),
            TsigAlgorithm::HmacSha384 => (hmac::HMAC_SHA384, "hmac-sha384"),
            TsigAlgorithm::HmacSha512 => (hmac::HMAC_SHA512, "hmac-sha512"),
        };
        let secret = STANDARD.decode(key.secret.expose()).ok()?;
        Some(Self {
            name: Name::from_text(&key.name)?,
            algorithm: Name::from_text(words)?,
            key: hmac::Key::new(algorithm, &secret),
        })
    }

    /// Signs a message that is complete otherwise, at `now` in seconds since 1970. Gives the
    /// signature, which the answer's is made over.
    pub(crate) fn sign(&self, message: &mut Writer, now: u64) -> Vec<u8> {
        let id = [message.bytes()[0], message.bytes()[1]];
        let times = Times { signed: now, fudge: FUDGE };
        let variables = self.variables(times, 0, &[]);
        let mac = hmac::sign(&self.key, &[message.bytes(), &variables].concat()).as_ref().to_vec();
        let length = u16::try_from(mac.len()).unwrap_or(u16::MAX);
        let data = [
            self.algorithm.wire(),
            &times.wire(),
            &length.to_be_bytes(),
            &mac,
            &id,
            &[0, 0],
            &[0, 0],
        ]
        .concat();
        let record = NewRecord { name: &self.name, kind: TSIG, class: ANY, ttl: 0, data: &data };
        message.record(Section::Additional, &record);
        mac
    }

    /// Whether `bytes`, read as `message`, is an answer to what was signed with `request`, by
    /// someone who has the key, at `now`.
    ///
    /// # Errors
    /// Says who did not accept whom.
    pub(crate) fn verify(
        &self,
        bytes: &[u8],
        message: &Message,
        request: &[u8],
        now: u64,
    ) -> Result<(), TsigFailure> {
        let record = message.additional.last().filter(|record| record.kind == TSIG);
        let record = record.ok_or(TsigFailure::Unsigned)?;
        let signature = Signature::parse(&record.data).ok_or(TsigFailure::Forged)?;
        refused(&signature, now)?;
        let is_ours = record.name == self.name && signature.algorithm == self.algorithm;
        let signed = self.signed(bytes, record, &signature, request).filter(|_| is_ours);
        let signed = signed.ok_or(TsigFailure::Forged)?;
        hmac::verify(&self.key, &signed, &signature.mac).map_err(|_| TsigFailure::Forged)?;
        // Only what the key vouches for is believed of the server's clock.
        if signature.times.signed.abs_diff(now) > u64::from(signature.times.fudge) {
            return Err(TsigFailure::Clock { theirs: Some(signature.times.signed), ours: now });
        }
        Ok(())
    }

    /// What the signature of an answer is made over: the answer as it was before it was signed.
    fn signed(
        &self,
        bytes: &[u8],
        record: &Record,
        signature: &Signature,
        request: &[u8],
    ) -> Option<Vec<u8>> {
        let mut signed = u16::try_from(request.len()).ok()?.to_be_bytes().to_vec();
        signed.extend(request);
        signed.extend(signature.id);
        signed.extend(bytes.get(2..ADDITIONAL_COUNT)?);
        let count: [u8; 2] = bytes.get(ADDITIONAL_COUNT..HEADER)?.try_into().ok()?;
        signed.extend(u16::from_be_bytes(count).checked_sub(1)?.to_be_bytes());
        signed.extend(bytes.get(HEADER..record.start)?);
        signed.extend(self.variables(signature.times, signature.error, &signature.other));
        Some(signed)
    }

    /// The variables of RFC 8945 §4.3.3.
    fn variables(&self, times: Times, error: u16, other: &[u8]) -> Vec<u8> {
        let length = u16::try_from(other.len()).unwrap_or(u16::MAX);
        [
            self.name.wire(),
            &ANY.to_be_bytes(),
            &0_u32.to_be_bytes(),
            self.algorithm.wire(),
            &times.wire(),
            &error.to_be_bytes(),
            &length.to_be_bytes(),
            other,
        ]
        .concat()
    }
}

/// Shows only the name of the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why two sides with a key do not trust each other; the words are said of the name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TsigFailure {
    /// The server does not know the key: BADKEY.
    UnknownKey,
    /// The server has another secret under that name: BADSIG.
    BadSignature,
    /// The clocks are too far apart: BADTIME. Seconds since 1970; theirs where it is known.
    Clock {
        /// What the server says the time is.
        theirs: Option<u64>,
        /// What it is here.
        ours: u64,
    },
    /// Another error of the server's.
    Other(u16),
    /// The answer has no signature.
    Unsigned,
    /// The answer's signature was not made with the key.
    Forged,
}

impl fmt::Display for TsigFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey => f.write_str(
                "it does not know the key, or not for this zone (BADKEY); compare `key_name` and \
                 `key_algorithm` with its configuration",
            ),
            Self::BadSignature => f.write_str(
                "it has another secret for the key (BADSIG); compare `key_secret` with its \
                 configuration",
            ),
            Self::Clock { theirs: Some(theirs), ours } => write!(
                f,
                "its clock is {} seconds {} that of this machine (BADTIME); set both",
                theirs.abs_diff(*ours),
                if theirs > ours { "ahead of" } else { "behind" },
            ),
            Self::Clock { theirs: None, .. } => f.write_str(
                "its clock and that of this machine differ too much (BADTIME); set both",
            ),
            Self::Other(error) => write!(f, "it refused the signature with TSIG error {error}"),
            Self::Unsigned => f.write_str("its answer is not signed with the key"),
            Self::Forged => f.write_str(
                "the signature of its answer is wrong; someone else answered, or it has another \
                 key",
            ),
        }
    }
}

fn refused(signature: &Signature, now: u64) -> Result<(), TsigFailure> {
    match signature.error {
        0 => Ok(()),
        BADSIG => Err(TsigFailure::BadSignature),
        BADKEY => Err(TsigFailure::UnknownKey),
        BADTIME => {
            let theirs = <[u8; 6]>::try_from(&*signature.other).ok().map(u48);
            Err(TsigFailure::Clock { theirs, ours: now })
        }
        other => Err(TsigFailure::Other(other)),
    }
}

/// When something was signed, and how far clocks may be apart, in seconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    signed: u64,
    fudge: u16,
}

impl Times {
    fn wire(self) -> Vec<u8> {
        [&self.signed.to_be_bytes()[2..], &self.fudge.to_be_bytes()].concat()
    }
}

/// The data of a TSIG record.
#[derive(Debug)]
struct Signature {
    algorithm: Name,
    times: Times,
    mac: Box<[u8]>,
    id: [u8; 2],
    error: u16,
    other: Box<[u8]>,
}

impl Signature {
    /// The name of the algorithm is not compressed, by RFC 8945 §4.2.
    fn parse(data: &[u8]) -> Option<Self> {
        let (algorithm, rest) = Name::split(data)?;
        let (signed, rest) = rest.split_first_chunk::<6>()?;
        let (fudge, rest) = rest.split_first_chunk::<2>()?;
        let (mac, rest) = counted(rest)?;
        let (id, rest) = rest.split_first_chunk::<2>()?;
        let (error, rest) = rest.split_first_chunk::<2>()?;
        let (other, rest) = counted(rest)?;
        let times = Times { signed: u48(*signed), fudge: u16::from_be_bytes(*fudge) };
        let error = u16::from_be_bytes(*error);
        let (mac, other) = (mac.into(), other.into());
        rest.is_empty().then_some(Self { algorithm, times, mac, id: *id, error, other })
    }
}

/// Bytes with their count in front, and what follows.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*count)))
}

fn u48(bytes: [u8; 6]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Seconds that the clocks may be apart, as RFC 8945 §10 recommends.
const FUDGE: u16 = 300;
const ADDITIONAL_COUNT: usize = 10;
const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
