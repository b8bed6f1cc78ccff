use std::time::{Duration, Instant};

use integration::failure::Failure;
use integration::h2_client::Ending;
use integration::http_origin::HttpOrigin;
use integration::tls_client::TlsClient;
use integration::wait::{pass, until};
use rustix::process::Signal;

use super::{LIMIT, Site, says, status};

/// T11. S10. At SIGTERM a slow answer comes whole, says goodbye, and TLS ends with a notice.
#[tokio::test]
async fn what_is_in_flight_finishes_and_ends_with_a_notice() {
    let origin = HttpOrigin::start().await;
    let mut site = Site::forwarding(&origin.url()).await;
    let mut slow = site.https().await;
    slow.send("GET /gate/g HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let http2 = site.h2().await;
    let stream = http2.open(http2.request(http::Method::GET, "/gate/g")).await.unwrap();
    let mut stream = stream;
    stream.end().unwrap();
    origin.gate("g").wait_for(2, LIMIT).await;
    site.vaned.signal(Signal::TERM);
    until("GOAWAY", LIMIT, async || http2.ending() == Some(Ending::Graceful)).await;
    origin.gate("g").open();
    let answer = slow.read_response().await.unwrap();
    assert_eq!((200, false), (answer.status, answer.keeps_alive()));
    // A stream of TLS that ends without a notice is an error, and no end.
    assert_eq!(Ok(Vec::new()), slow.read_to_end().await);
    assert_eq!(200, stream.answer().await.unwrap().status);
    http2.ended(LIMIT).await.unwrap();
    assert_eq!(Some(0), site.vaned.exit_status(LIMIT).await.code());
    let lines = site.vaned.log_lines();
    assert!(lines.iter().any(|line| line.contains("everything in flight has finished")));
}

/// T11. S10. Idle connections do not hold the end up, and end with a notice; a request on its way is
/// served.
#[tokio::test]
async fn idle_connections_end_with_a_notice() {
    let mut site = Site::ruled(says("x")).await;
    let mut unused = site.connect(&TlsClient::builder().build(), "a.test").await.unwrap();
    let (mut used, mut late) = (site.https().await, site.https().await);
    assert_eq!(Ok(200), status(&mut used, "a.test").await);
    assert_eq!(Ok(200), status(&mut late, "a.test").await);
    let begun = Instant::now();
    site.vaned.signal(Signal::TERM);
    // Nearly always idle when the signal comes.
    while late.get("/", "a.test").await.unwrap().keeps_alive() {
        pass(Duration::from_millis(15)).await;
    }
    unused.ending().await.unwrap();
    assert_eq!(Ok(Vec::new()), used.read_to_end().await);
    assert_eq!(Ok(Vec::new()), late.read_to_end().await);
    assert_eq!(Some(0), site.vaned.exit_status(LIMIT).await.code());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let refused = TlsClient::builder().build().connect(site.addr, Some("a.test")).await;
    let nobody = integration::tls_client::TlsFailure::Transport(Failure::Refused);
    assert_eq!(Some(nobody), refused.err());
}

/// T11. S14. A reload tells connections to come back: with a goodbye over both protocols, and a notice.
#[tokio::test]
async fn a_reload_tells_connections_to_come_back() {
    let site = Site::ruled(says("old")).await;
    let mut http1 = site.https().await;
    assert_eq!(Ok(200), status(&mut http1, "a.test").await);
    let http2 = site.h2().await;
    assert_eq!(200, http2.get("/").await.unwrap().status);
    let mut changed = super::on_loopback(says("new"));
    changed["tls"] = super::pair("site");
    site.config.write_rule("all", changed);
    site.vaned.reload().await;
    let answer = http1.get("/", "a.test").await.unwrap();
    assert_eq!(("old", false), (&*answer.text(), answer.keeps_alive()));
    assert_eq!(Ok(Vec::new()), http1.read_to_end().await);
    until("GOAWAY", LIMIT, async || http2.ending() == Some(Ending::Graceful)).await;
    assert_eq!("new", site.https().await.get("/", "a.test").await.unwrap().text());
}
