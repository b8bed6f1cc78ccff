use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use integration::failure::Failure;
use integration::raw_client::RawClient;
use integration::tls_client::{TlsClient, TlsFailure};
use integration::wait::until;
use tokio::net::{TcpSocket, TcpStream};

use super::{LIMIT, Site, says, site};

/// T9. A handshake that stands still is ended in time, wherever it stands: before its first byte,
/// within its first message, or behind it; and each is counted.
#[tokio::test]
async fn a_slow_handshake_is_ended_in_time() {
    let site = Site::with(site(says("x")), &[("VANE_SEC_HANDSHAKE_TIME_MS", "400")]).await;
    let hello = hello().await;
    for (number, sent) in [0, 1, 60, hello.len() - 1, hello.len()].into_iter().enumerate() {
        let mut client = RawClient::connect(site.addr).await.unwrap();
        client.send(&hello[..sent]).await.unwrap();
        let begun = Instant::now();
        assert!(client.is_closed_by_peer(LIMIT).await, "{sent} bytes");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?} after {sent} bytes");
        site.until_refused("handshake_time", number as u64 + 1).await;
    }
    let line = site.vaned.wait_for_log(|line| line.contains("client met a limit")).await;
    assert!(line.contains("handshake_time"), "{line}");
    assert!(site.shown("a.test").await.is_ok());
}

/// T9. A client that breaks off in the middle is counted as that, and nothing waits for it.
#[tokio::test]
async fn a_client_that_breaks_off_is_counted() {
    let site = Site::of(site(says("x"))).await;
    for number in 1..=3 {
        let mut client = RawClient::connect(site.addr).await.unwrap();
        client.send(hello().await).await.unwrap();
        client.read_exactly(1).await.unwrap();
        client.reset();
        site.until_counted("broken", number).await;
    }
}

/// T9. One that drips gets no more time.
#[tokio::test]
async fn a_handshake_that_drips_gets_no_more_time() {
    let site = Site::with(site(says("x")), &[("VANE_SEC_HANDSHAKE_TIME_MS", "400")]).await;
    let mut client = RawClient::connect(site.addr).await.unwrap();
    let begun = Instant::now();
    for byte in hello().await {
        let gone = client.send([byte]).await.is_err();
        if gone || client.is_closed_by_peer(Duration::from_millis(50)).await {
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    site.until_refused("handshake_time", 1).await;
}

/// T9. An address shakes hands so often a second, counted over reloads; others are not concerned,
/// and it may again a second later.
#[tokio::test]
async fn handshakes_of_an_address_are_limited_by_the_second() {
    let site = Site::with(site(says("x")), &[("VANE_SEC_HANDSHAKES_PER_SECOND", "10")]).await;
    let mut refused = 0;
    until("a refusal", LIMIT, async || {
        refused += u64::from(site.shown("a.test").await.is_err());
        refused > 0
    })
    .await;
    assert!(shown_to(&site, [127, 0, 0, 9]).await.is_ok());
    until("the next second", LIMIT, async || {
        let shown = site.shown("a.test").await;
        refused += u64::from(shown.is_err());
        shown.is_ok()
    })
    .await;
    site.until_refused("handshake_rate", refused).await;
    let line = site.vaned.wait_for_log(|line| line.contains("client met a limit")).await;
    assert!(line.contains("handshake_rate") && line.contains("127.0.0.1"), "{line}");
}

/// T9. So many handshakes are under way, and no more; one that ends makes room.
#[tokio::test]
async fn handshakes_under_way_are_limited() {
    let variables =
        [("VANE_SEC_HANDSHAKES_PENDING", "16"), ("VANE_SEC_HANDSHAKE_TIME_MS", "60000")];
    let site = Site::with(site(says("x")), &variables).await;
    let hello = hello().await;
    let mut pending = Vec::new();
    for _ in 0..16 {
        let mut client = RawClient::connect(site.addr).await.unwrap();
        client.send(&hello).await.unwrap();
        // The answer to it is here, so it is under way.
        client.read_exactly(1).await.unwrap();
        pending.push(client);
    }
    let failed = site.shown("a.test").await.unwrap_err();
    assert!(matches!(failed, TlsFailure::Transport(_)), "{failed}");
    site.until_refused("handshakes_pending", 1).await;
    pending.pop();
    until("room for one more", LIMIT, async || site.shown("a.test").await.is_ok()).await;
}

/// T9. A handshake under way does not hold up the end beyond its budget.
#[tokio::test]
async fn a_handshake_under_way_is_cut_off_with_the_budget() {
    let mut site = Site::with(site(says("x")), &[("VANE_DRAIN_TIMEOUT_SECS", "1")]).await;
    let mut client = RawClient::connect(site.addr).await.unwrap();
    client.send(hello().await).await.unwrap();
    client.read_exactly(1).await.unwrap();
    site.vaned.signal(rustix::process::Signal::TERM);
    assert_eq!(Some(0), site.vaned.exit_status(LIMIT).await.code());
}

/// The first message of a handshake for `a.test`, as a client sends it.
async fn hello() -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let client = TlsClient::builder().build();
    let connecting =
        tokio::spawn(async move { client.connect(addr, Some("a.test")).await.is_ok() });
    let mut server = RawClient::over(listener.accept().await.unwrap().0);
    let mut hello = server.read_exactly(5).await.unwrap();
    let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
    hello.extend(server.read_exactly(length).await.unwrap());
    connecting.abort();
    hello
}

/// A handshake from that address.
async fn shown_to(site: &Site, from: [u8; 4]) -> Result<(), Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::from(from), 0))?;
    let stream: TcpStream = socket.connect(site.addr).await?;
    let mut client = RawClient::over(stream);
    client.send(hello().await).await?;
    let answer = client.read_exactly(1).await?;
    // A message of the handshake, and not an alert.
    if answer == [0x16] { Ok(()) } else { Err(Failure::Malformed(format!("{answer:?}"))) }
}
