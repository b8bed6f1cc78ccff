//! Dynamic updates of a name server, [RFC 2136](https://www.rfc-editor.org/rfc/rfc2136), over TCP.
//!
//! Where the name is an alias (a CNAME, as operators make to keep the key for updates away from
//! the zone proper), the record is put where the alias leads, as far as the server that takes the
//! updates knows the alias. Questions for alias and zone are not signed; a wrong answer to them
//! could only lead the update to where the key may write as well.

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vane_core::rules::tls::DnsUpdate;
use vane_core::value::endpoint::Endpoint;

use crate::acme::dns::tsig::{Signer, TsigFailure};
use crate::upstream::connect::Stream;
use crate::upstream::failure::{Failure, FailureKind};
use crate::wire::dns::{
    IN, Message, NONE, Name, NewRecord, SOA, Section, TXT, UPDATE, Writer, text_data,
};

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    zone: Name,
    owner: Name,
}

/// Adds a TXT record beside those that are there.
///
/// # Cancel safety
/// Dropping the future may leave the record.
pub(crate) async fn present(
    update: &DnsUpdate,
    name: &str,
    value: &str,
) -> Result<Place, UpdateFailure> {
    within(update, async |client| {
        let place = client.locate(name, update.zone.as_deref()).await?;
        client.change(&place, &Change { value, class: IN, ttl: TTL }).await?;
        Ok(place)
    })
    .await
}

/// Removes the TXT record with this value, at its place or where that is now; one that is gone is
/// fine.
///
/// # Cancel safety
/// Dropping the future may leave the record.
pub(crate) async fn cleanup(
    update: &DnsUpdate,
    name: &str,
    place: Option<&Place>,
    value: &str,
) -> Result<(), UpdateFailure> {
    within(update, async |client| {
        let place = match place {
            Some(place) => place.clone(),
            None => client.locate(name, update.zone.as_deref()).await?,
        };
        client.change(&place, &Change { value, class: NONE, ttl: 0 }).await
    })
    .await
}

async fn within<T>(
    update: &DnsUpdate,
    work: impl AsyncFnOnce(&Client<'_>) -> Result<T, Problem>,
) -> Result<T, UpdateFailure> {
    let work = async {
        let signer = update.key.as_ref().map(|key| Signer::new(key).ok_or(Problem::Key));
        work(&Client { server: &update.server, signer: signer.transpose()? }).await
    };
    let outcome = tokio::time::timeout(WHOLE_LIMIT, work).await;
    outcome
        .unwrap_or(Err(Problem::Timeout))
        .map_err(|problem| UpdateFailure { server: update.server.clone(), problem })
}

/// One name server, and the key that it knows us by.
struct Client<'a> {
    server: &'a Endpoint,
    signer: Option<Signer>,
}

/// One record that comes or goes.
struct Change<'a> {
    value: &'a str,
    class: u16,
    ttl: u32,
}

/// What a server says of the place of a name.
enum Said {
    /// The name is an alias of this one.
    Alias(Name),
    /// The name lies in this zone of the server's.
    Zone(Name),
    /// The server has no zone with the name.
    Nothing,
}

impl Client<'_> {
    /// Where the record of `name` belongs.
    async fn locate(&self, name: &str, zone: Option<&str>) -> Result<Place, Problem> {
        let first = domain_name(name)?;
        let zone = zone.map(domain_name).transpose()?;
        let mut owner = first.clone();
        for _ in 0..MAX_ALIASES {
            match (self.ask(&owner).await?, &zone) {
                (Said::Alias(target), _) => owner = target,
                (_, Some(zone)) if owner.is_within(zone) => {
                    return Ok(Place { zone: zone.clone(), owner });
                }
                (_, Some(zone)) => return Err(Problem::OutsideZone { owner, zone: zone.clone() }),
                (Said::Zone(zone), None) => return Ok(Place { zone, owner }),
                (Said::Nothing, None) if owner != first => {
                    return Err(Problem::AliasElsewhere { owner: first, target: owner });
                }
                (Said::Nothing, None) => return Err(Problem::NoZone(owner)),
            }
        }
        Err(Problem::AliasLoop(first))
    }

    /// Asks for the zone of `owner`, and, while the server has nothing to say, for that of the
    /// names above.
    async fn ask(&self, owner: &Name) -> Result<Said, Problem> {
        let mut next = Some(owner.clone());
        while let Some(name) = next.filter(|name| !name.is_root()) {
            let mut question = Writer::new(ID, 0);
            question.question(&name, SOA);
            let (_, answer) = self.exchange(question.bytes()).await?;
            let alias = answer.answers.iter().find(|record| record.name == *owner);
            if let Some(target) = alias.and_then(|record| record.alias.clone()) {
                return Ok(Said::Alias(target));
            }
            if let Some(zone) = zone(&answer, owner) {
                return Ok(Said::Zone(zone));
            }
            next = name.parent();
        }
        Ok(Said::Nothing)
    }

    async fn change(&self, place: &Place, change: &Change<'_>) -> Result<(), Problem> {
        let mut message = Writer::new(ID, UPDATE);
        message.question(&place.zone, SOA);
        let (class, ttl, data) = (change.class, change.ttl, text_data(change.value));
        let record = NewRecord { name: &place.owner, kind: TXT, class, ttl, data: &data };
        message.record(Section::Authority, &record);
        let signature = self.signer.as_ref().map(|signer| signer.sign(&mut message, now()));
        let (bytes, answer) = self.exchange(message.bytes()).await?;
        let rcode = answer.flags.rcode();
        if let (Some(signer), Some(signature)) = (&self.signer, signature) {
            match signer.verify(&bytes, &answer, &signature, now()) {
                // A server that does not get as far as the signature does not sign either.
                Err(TsigFailure::Unsigned) if rcode != 0 => {}
                verdict => verdict.map_err(Problem::Tsig)?,
            }
        }
        if rcode == 0 { Ok(()) } else { Err(Problem::Refused { rcode, place: place.clone() }) }
    }

    /// One message there and one back, over a connection of their own.
    async fn exchange(&self, message: &[u8]) -> Result<(Vec<u8>, Message), Problem> {
        let exchange = async {
            let stream = Stream::connect(self.server, TRY_LIMIT).await.map_err(Problem::Connect)?;
            over(stream, message).await.map_err(Problem::Broken)
        };
        let exchange = tokio::time::timeout(TRY_LIMIT, exchange).await;
        let bytes = exchange.unwrap_or(Err(Problem::Timeout))?;
        let answer = Message::parse(&bytes).map_err(|_| Problem::Malformed)?;
        if answer.id != ID || !answer.flags.is_response() {
            return Err(Problem::Malformed);
        }
        Ok((bytes, answer))
    }
}

/// The zone that an answer says `owner` lies in.
fn zone(answer: &Message, owner: &Name) -> Option<Name> {
    let exists = [NOERROR, NXDOMAIN].contains(&answer.flags.rcode());
    if !exists || !answer.flags.is_authoritative() {
        return None;
    }
    let mut records = answer.answers.iter().chain(&answer.authority);
    let soa = records.find(|record| record.kind == SOA && owner.is_within(&record.name));
    soa.map(|record| record.name.clone())
}

/// By [RFC 1035 §4.2.2](https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2).
async fn over(mut stream: Stream, message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn domain_name(text: &str) -> Result<Name, Problem> {
    Name::from_text(text).ok_or_else(|| Problem::Name(text.into()))
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An update that did not happen, or that nobody confirmed.
#[derive(Debug)]
pub(crate) struct UpdateFailure {
    server: Endpoint,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Name(Box<str>),
    Key,
    Connect(Failure),
    Broken(io::Error),
    Timeout,
    Malformed,
    NoZone(Name),
    OutsideZone { owner: Name, zone: Name },
    AliasElsewhere { owner: Name, target: Name },
    AliasLoop(Name),
    Tsig(TsigFailure),
    Refused { rcode: u16, place: Place },
}

impl fmt::Display for UpdateFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name server {}: {}", self.server, self.problem)
    }
}

impl std::error::Error for UpdateFailure {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "`{name}` is no name that it could be asked for"),
            Self::Key => f.write_str("the key for updates is not usable"),
            Self::Connect(failure) => connect(failure, f),
            Self::Broken(error) => write!(f, "the connection to it broke: {error}"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Malformed => f.write_str("what it answered is not a DNS message"),
            Self::NoZone(name) => write!(
                f,
                "it has no zone with `{name}`; let `server` be the primary server of the zone"
            ),
            Self::OutsideZone { owner, zone } => {
                write!(f, "`{owner}` is not in the zone `{zone}`; correct `zone`, or leave it out")
            }
            Self::AliasElsewhere { owner, target } => write!(
                f,
                "`{owner}` is an alias of `{target}`, which is in no zone of this server; let \
                 `server` be the primary server of that zone and write `zone`"
            ),
            Self::AliasLoop(name) => write!(f, "the aliases that begin at `{name}` do not end"),
            Self::Tsig(failure) => failure.fmt(f),
            Self::Refused { rcode, place } => refused(*rcode, place, f),
        }
    }
}

fn connect(failure: &Failure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match failure.kind {
        FailureKind::Resolve => "its name has no address",
        FailureKind::Refused => "nothing listens there for TCP",
        FailureKind::ConnectTimeout => "it does not accept connections in time",
        _ => "it cannot be reached",
    })?;
    match std::error::Error::source(failure) {
        Some(source) => write!(f, ": {source}"),
        None => Ok(()),
    }
}

/// The outcomes of [RFC 2136 §2.2](https://www.rfc-editor.org/rfc/rfc2136#section-2.2).
fn refused(rcode: u16, place: &Place, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Place { zone, owner } = place;
    match rcode {
        1 => f.write_str("it could not read the update (FORMERR)"),
        2 => f.write_str("it failed at the update (SERVFAIL); its log says why"),
        4 => f.write_str("it takes no updates (NOTIMP)"),
        5 => write!(
            f,
            "it does not allow the update (REFUSED); allow the key to change TXT records of \
             `{owner}` in the zone `{zone}`"
        ),
        9 => write!(
            f,
            "it is not authoritative for the zone `{zone}`, or wants another key for it (NOTAUTH); \
             compare `server`, `zone` and `key_name` with its configuration"
        ),
        10 => write!(f, "`{owner}` is not in the zone `{zone}` (NOTZONE); correct `zone`"),
        other => write!(f, "it refused the update with code {other}"),
    }
}

/// A connection carries one exchange, so the id tells nothing apart.
const ID: u16 = 1;
/// Seconds; short, since whoever looks again after a failure should see what is new.
const TTL: u32 = 60;
const TRY_LIMIT: Duration = Duration::from_secs(10);
const WHOLE_LIMIT: Duration = Duration::from_secs(30);
const MAX_ALIASES: usize = 8;
const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;
