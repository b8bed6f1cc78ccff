//! Against a real Knot DNS; skipped with a word where none is installed.

use integration::name_server::{KEYS, Key, NameServer};
use tokio::net::TcpListener;
use vane_core::rules::tls::{DnsProvider, DnsUpdate, TsigAlgorithm, TsigKey};
use vane_core::value::endpoint::Endpoint;
use vane_core::value::secret::Secret;

use super::Provider;

const OWNER: &str = "_acme-challenge.www.example.test";

fn server() -> Option<NameServer> {
    let aliases = "_acme-challenge.alias CNAME alias.acme.test.\n\
                   _acme-challenge.far CNAME far.elsewhere.test.\n\
                   _acme-challenge.ring CNAME ring\nring CNAME _acme-challenge.ring";
    NameServer::start(&[("example.test", aliases), ("acme.test", "")])
}

fn key(key: Key) -> TsigKey {
    let algorithm = match key.algorithm {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        _ => TsigAlgorithm::HmacSha512,
    };
    TsigKey { name: key.name.into(), algorithm, secret: Secret::new(key.secret) }
}

fn provider(server: &dyn ToString, zone: Option<&str>, key: Option<TsigKey>) -> Provider {
    let server = Endpoint::parse(&server.to_string()).unwrap();
    Provider::new(DnsProvider::Rfc2136(DnsUpdate { server, zone: zone.map(Into::into), key }))
}

#[tokio::test]
async fn two_values_stand_at_one_name_and_each_is_removed_alone() {
    let Some(server) = server() else { return };
    let provider = provider(&server.addr(), None, Some(key(KEYS[0])));
    let first = provider.present(OWNER, "first").await.unwrap();
    let second = provider.present(OWNER, "second").await.unwrap();
    assert_eq!(server.texts(OWNER).await, ["first".to_owned(), "second".to_owned()].into());
    provider.cleanup(&first).await.unwrap();
    assert_eq!(server.texts(OWNER).await, ["second".to_owned()].into());
    provider.cleanup(&second).await.unwrap();
    assert!(server.texts(OWNER).await.is_empty());
    provider.cleanup(&second).await.expect("one that is gone is fine");
}

#[tokio::test]
async fn what_may_have_been_put_is_found_and_removed() {
    let Some(server) = server() else { return };
    let provider = provider(&server.addr(), None, Some(key(KEYS[0])));
    provider.present(OWNER, "other").await.unwrap();
    provider.present(OWNER, "first").await.unwrap();
    let doubtful = provider.record(OWNER, "first");
    provider.cleanup(&doubtful).await.unwrap();
    assert_eq!(server.texts(OWNER).await, ["other".to_owned()].into());
    provider.cleanup(&doubtful).await.unwrap();
}

#[tokio::test]
async fn each_algorithm_is_spoken_and_the_zone_may_be_written() {
    let Some(server) = server() else { return };
    for known in &KEYS[..3] {
        let provider = provider(&server.addr(), Some("example.test"), Some(key(*known)));
        let record = provider.present(OWNER, known.algorithm).await.unwrap();
        assert_eq!(server.texts(OWNER).await, [known.algorithm.to_owned()].into());
        provider.cleanup(&record).await.unwrap();
    }
}

#[tokio::test]
async fn the_alias_of_a_challenge_is_followed_into_another_zone() {
    let Some(server) = server() else { return };
    let provider = provider(&server.addr(), None, Some(key(KEYS[0])));
    let record = provider.present("_acme-challenge.alias.example.test", "value").await.unwrap();
    assert_eq!(server.texts("alias.acme.test").await, ["value".to_owned()].into());
    provider.cleanup(&record).await.unwrap();
    assert!(server.texts("alias.acme.test").await.is_empty());
    let words = provider.words("_acme-challenge.far.example.test").await;
    assert!(words.contains("is an alias of `far.elsewhere.test`, which is in no zone"), "{words}");
    let words = provider.words("_acme-challenge.ring.example.test").await;
    assert!(words.contains("do not end"), "{words}");
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_refused_in_words() {
    let Some(server) = server() else { return };
    let unknown = TsigKey { name: "nobody.test".into(), ..key(KEYS[0]) };
    let other_secret = TsigKey { secret: key(KEYS[1]).secret, ..key(KEYS[0]) };
    let other_algorithm = TsigKey { algorithm: TsigAlgorithm::HmacSha512, ..key(KEYS[0]) };
    for (key, expected) in [
        (Some(unknown), "not for this zone (BADKEY); compare `key_name`"),
        (Some(other_algorithm), "not for this zone (BADKEY); compare `key_name`"),
        (Some(other_secret), "(BADSIG); compare `key_secret`"),
        (Some(key(KEYS[3])), "not for this zone (BADKEY); compare `key_name`"),
        (None, "(NOTAUTH)"),
    ] {
        let words = provider(&server.addr(), None, key).words(OWNER).await;
        assert!(words.contains(expected), "{words}");
        assert!(words.starts_with(&format!("name server {}: ", server.addr())), "{words}");
        assert!(!KEYS.iter().any(|key| words.contains(key.secret)), "{words}");
    }
    assert!(server.texts(OWNER).await.is_empty());
}

#[tokio::test]
async fn a_zone_that_is_not_the_servers_is_refused_in_words() {
    let Some(server) = server() else { return };
    let with = |zone| provider(&server.addr(), zone, Some(key(KEYS[0])));
    let words = with(None).words("_acme-challenge.other.invalid").await;
    assert!(words.contains("it has no zone with `_acme-challenge.other.invalid`"), "{words}");
    let words = with(Some("acme.test")).words(OWNER).await;
    assert!(words.contains("is not in the zone `acme.test`"), "{words}");
    let words = with(Some("other.invalid")).words("_acme-challenge.other.invalid").await;
    assert!(words.contains("not authoritative for the zone `other.invalid`"), "{words}");
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let words = async |provider: Provider| provider.words(OWNER).await;
    let hanging_up = tokio::spawn(async move { drop(listener.accept().await) });
    let said = words(provider(&address, None, None)).await;
    assert!(said.contains(&format!("name server {address}: the connection to it broke")), "{said}");
    hanging_up.await.unwrap();
    let said = words(provider(&address, None, None)).await;
    assert!(said.contains("nothing listens there for TCP"), "{said}");
    let said = words(provider(&"unix:/nonexistent/ns.sock", None, None)).await;
    assert!(said.contains("name server unix:/nonexistent/ns.sock: "), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let words = provider(&listener.local_addr().unwrap(), None, None).words(OWNER).await;
    assert!(words.contains("it did not answer in time"), "{words}");
}
