use std::net::SocketAddr;

use integration::http_origin::HttpOrigin;
use integration::raw_client::RawClient;
use integration::wait::until;

use super::rig::{Daemon, Door, LIMIT, Rig, Settings};

scenarios!(limits_hold_for_clients_of_both_families);

/// S21. Connections from one address, the time and the size of a head: each is met, told in the
/// protocol where there is one, and counted; the origin sees what was within the limits alone.
async fn limits_hold_for_clients_of_both_families<R: Rig>(rig: R) {
    let origin = rig.origin().await;
    rig.forwards("web", Door::Clear, &origin.url());
    let settings = Settings::default()
        .env("VANE_SEC_MAX_CONNECTIONS_PER_ADDRESS", "4")
        .env("VANE_SEC_HEADER_TIME_MS", "500")
        .env("VANE_SEC_HEADER_BYTES", "8192");
    let daemon = rig.start(&settings).await;
    for addr in [rig.v4(&daemon, Door::Clear).await, rig.v6(&daemon, Door::Clear).await] {
        too_many_connections(addr, &origin).await;
        daemon.until_stats("all to be gone", |stats| stats["connections"]["open"] == 0).await;
        let mut slow = RawClient::connect(addr).await.unwrap();
        slow.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.unwrap();
        assert_eq!(408, slow.read_response().await.unwrap().status);
        let mut big = RawClient::connect(addr).await.unwrap();
        let field = "x".repeat(9000);
        let answer = big.exchange(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Big: {field}\r\n\r\n"));
        assert_eq!(431, answer.await.unwrap().status);
    }
    daemon
        .until_stats("each limit to be counted for each family", |stats| {
            let counts = &stats["connections"]["refused_by_limit"];
            ["connections_per_address", "head_time", "head"].iter().all(|limit| counts[limit] == 2)
        })
        .await;
    assert_eq!(8, origin.count());
}

/// Four serve and are kept, the fifth is closed.
async fn too_many_connections(addr: SocketAddr, origin: &HttpOrigin) {
    let before = origin.count();
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut client = RawClient::connect(addr).await.unwrap();
        assert_eq!(200, client.get("/headers", "a").await.unwrap().status);
        kept.push(client);
    }
    let mut fifth = RawClient::connect(addr).await.unwrap();
    assert!(fifth.is_closed_by_peer(LIMIT).await);
    until("the four to be counted", LIMIT, async || origin.count() == before + 4).await;
}
