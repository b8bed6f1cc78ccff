//! Connections that are kept, and what becomes of requests when the server ends them.

use std::time::Duration;

use integration::failure::Failure;
use integration::h2c_origin::GoAway;
use integration::load::{Mix, h2_clients, keep_alive_clients, posts};
use integration::tls_front::Ending;
use integration::tls_server::TlsServer;
use integration::wait::until;
use serde_json::json;

use super::{LIMIT, Site, both, failure, http1_alone, server};

/// Tickets and new keys are bytes on an idle connection that are no end of it. A POST is sent on one
/// only where nothing at all waits to be read.
#[tokio::test]
async fn bytes_of_tls_itself_do_not_make_an_idle_connection_useless() {
    let (site, rig) = http1_alone().await;
    let mut client = rig.client().await;
    for round in 0..50 {
        assert_eq!("x", client.post("/echo", "a", b"x").await.unwrap().text());
        if round % 5 == 4 {
            site.front.update_keys().await;
        }
    }
    assert_eq!(1, site.front.connections_accepted());
}

#[tokio::test]
async fn an_idle_connection_that_the_server_has_ended_costs_no_request() {
    for (site, rig) in [http1_alone().await, both().await] {
        let mut client = rig.client().await;
        let mut connections = 0;
        for ending in [Ending::Orderly, Ending::Abrupt, Ending::Reset] {
            for method in ["GET", "POST"] {
                let request = match method {
                    "GET" => "GET /bytes/1 HTTP/1.1\r\nHost: a\r\n\r\n",
                    _ => "POST /bytes/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
                };
                let answer = client.exchange(request).await.unwrap();
                assert_eq!(200, answer.status, "{method} after {connections} connections");
                connections += 1;
                assert_eq!(connections, site.front.connections_accepted(), "{ending:?}");
                site.front.end_all(ending);
                until("it to be gone", LIMIT, async || site.front.connections_open() == 0).await;
            }
        }
        assert_eq!(connections, site.http1.count() + site.http2.count());
    }
}

#[tokio::test]
async fn connections_that_the_server_closes_while_idle_cost_no_client_an_error_over_tls() {
    let (site, rig) = http1_alone().await;
    let mix = Mix::new("a").get("/bytes/10").get("/chunked/5000").pause(Duration::from_millis(2));
    let load = keep_alive_clients(8, rig.addr, &mix);
    for round in 0..40 {
        site.front.end_with([Ending::Orderly, Ending::Abrupt][round % 2]);
        load.more_answers(10).await;
        site.http1.close_idle_now().await;
    }
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent, site.http1.count());
    assert_eq!(Vec::<String>::new(), site.http1.repeated_ids());
}

#[tokio::test]
async fn a_post_is_never_sent_twice_over_tls() {
    let (site, rig) = http1_alone().await;
    let load = posts(8, rig.addr, "a", &[0, 10, 5000, 100_000]);
    for _ in 0..20 {
        load.more_answers(8).await;
        site.http1.close_idle_now().await;
    }
    let tally = load.stop().await;
    assert_eq!(Vec::<String>::new(), site.http1.repeated_ids());
    assert_eq!(tally.wrong, tally.failures(), "{tally}");
    assert!(tally.problems.iter().all(|problem| problem.contains("status 502")), "{tally}");
    assert!(tally.answered > tally.wrong, "{tally}");
}

#[tokio::test]
async fn an_http2_server_that_goes_away_costs_no_client_an_error_over_tls() {
    let (site, rig) = both().await;
    let mix = Mix::new("example.com").get("/bytes/100").post("/echo", 2000);
    let load = h2_clients(2, 4, rig.addr, &mix);
    for _ in 0..10 {
        load.more_answers(20).await;
        site.http2.go_away(GoAway::Graceful);
    }
    load.stop().await.assert_nothing_lost();
    assert!(site.front.connections_accepted() > 5, "{}", site.front.connections_accepted());
    assert_eq!(0, site.http1.count());
}

/// The version is chosen anew with each connection, also while the pool still has one of before.
#[tokio::test]
async fn a_server_that_comes_back_with_another_version_is_spoken_to_in_that() {
    let (site, rig) = both().await;
    let mut client = rig.client().await;
    let mut versions = Vec::new();
    for alpn in [&["h2"] as &[&str], &["http/1.1"], &["h2", "http/1.1"], &[]] {
        site.front.replace(server(&site.root, alpn));
        site.front.end_all(Ending::Orderly);
        until("all to be gone", LIMIT, async || site.front.connections_open() == 0).await;
        assert_eq!("x", client.post("/echo", "a", b"x").await.unwrap().text(), "{alpn:?}");
        assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status, "{alpn:?}");
        versions.push(alpn.first().map_or("none", |first| *first));
    }
    assert_eq!(versions, site.front.agreed());
}

#[tokio::test]
async fn a_session_is_resumed_on_the_next_connection() {
    for tls12 in [false, true] {
        let site = Site::start(&[]).await;
        let issued = site.root.server(&["127.0.0.1"]);
        let tls = TlsServer::new(&issued).alpn(&["http/1.1"]);
        site.front.replace(if tls12 { tls.tls12_only() } else { tls }.build());
        let rig = site.rig().await;
        for resumed in [false, true, true] {
            assert_eq!(200, rig.get("/bytes/1").await.status);
            assert_eq!(resumed, site.front.handshakes().pop().unwrap().resumed, "1.2: {tls12}");
            site.front.end_all(Ending::Orderly);
            until("it to be gone", LIMIT, async || site.front.connections_open() == 0).await;
        }
    }
}

/// Whoever cuts the way cannot pass a part off as the whole.
#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole_only_where_the_server_said_so() {
    let (site, rig) = http1_alone().await;
    assert_eq!("until close", rig.get("/close-delimited").await.text());
    site.front.end_with(Ending::Abrupt);
    let mut client = rig.client().await;
    let failure = client.get("/close-delimited", "a").await.unwrap_err();
    assert!(matches!(failure, Failure::Truncated | Failure::Reset), "{failure}");
    assert_eq!(200, rig.get("/bytes/1").await.status);
}

#[tokio::test]
async fn a_server_that_ends_before_its_answer_is_a_bad_gateway() {
    for (ending, path) in [(Ending::Orderly, "/hang-up"), (Ending::Abrupt, "/hang-up")] {
        let (site, rig) = http1_alone().await;
        site.front.end_with(ending);
        let answer = rig.get(path).await;
        assert_eq!(Some("vane; error=connection_terminated"), answer.header("proxy-status"));
        assert_eq!(502, answer.status);
    }
}

#[tokio::test]
async fn a_server_that_is_gone_and_back_is_used_at_once_over_tls() {
    let (site, rig) = both().await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    let other = Site::start(&["h2"]).await;
    // Another authority signs what it shows meanwhile, as if somebody else had its address.
    site.front.replace(server(&other.root, &["h2"]));
    site.front.end_all(Ending::Reset);
    until("all to be gone", LIMIT, async || site.front.connections_open() == 0).await;
    assert_eq!((502, "vane; error=tls_certificate_error".to_owned()), failure(&rig).await);
    site.front.replace(server(&site.root, &["h2"]));
    assert_eq!(200, rig.get("/bytes/1").await.status);
    assert_eq!(json!(0), rig.stats().await["requests"]["active"]);
}
