use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::raw_client::RawClient;
use integration::vaned::{Builder, Vaned};
use integration::wait::until;
use serde_json::{Value, json};

use super::{LIMIT, is_logged, listener, said, says};

/// S17. An address without a host is both families, and both lead to the same rule.
#[tokio::test]
async fn a_port_alone_is_two_listeners() {
    let config = ConfigDir::new().rule("a", says(":0", "{remote.ip}"));
    let vaned = Vaned::start(&config).await;
    let addresses: Vec<_> =
        vaned.listeners().await.iter().map(|each| each["address"].clone()).collect();
    assert_eq!(vec![json!("0.0.0.0:0"), json!("[::]:0")], addresses);
    // Never in the mapped form, on whichever socket.
    assert_eq!("127.0.0.1", said(vaned.addr("0.0.0.0:0").await).await.unwrap());
    assert_eq!("::1", said(vaned.addr("[::]:0").await).await.unwrap());
}

/// S17. The two have one entry in the graph.
#[tokio::test]
async fn both_families_enter_at_one_node() {
    let config = ConfigDir::new().rule("a", says(":0", "a"));
    let vaned = Vaned::start(&config).await;
    let live = vaned.manage("get_config", json!({})).await.unwrap();
    let listeners = live["graph"]["listeners"].as_array().cloned().unwrap();
    let entries: Vec<&Value> = listeners.iter().map(|each| &each["entry"]).collect();
    assert!(!entries.is_empty() && entries.iter().all(|entry| *entry == entries[0]), "{live:#}");
    assert!(entries[0].is_number() || entries[0].is_string(), "{live:#}");
}

/// S17. One family each where the address says so, and both may have one port, since the IPv6
/// socket takes no IPv4 connection.
#[tokio::test]
async fn two_families_share_a_port_without_sharing_a_socket() {
    let config = ConfigDir::new().rule("six", says("[::]:0", "six"));
    let vaned = Vaned::start(&config).await;
    let port = vaned.only_addr().await.port();
    let (v4, v6) = ((Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into());
    assert_eq!(Some(Failure::Refused), RawClient::connect(v4).await.err());
    assert_eq!("six", said(v6).await.unwrap());
    config.write_rule("four", says(&format!("0.0.0.0:{port}"), "four"));
    vaned.reload().await;
    assert_eq!("four", said(v4).await.unwrap());
    assert_eq!("six", said(v6).await.unwrap());
}

/// S17. The mapped form is refused where it is written.
#[tokio::test]
async fn a_mapped_address_is_not_listened_on() {
    let config = ConfigDir::new().rule("a", says("[::ffff:127.0.0.1]:0", "a"));
    let mut vaned = Vaned::builder(&config).spawn();
    assert_eq!(Some(1), vaned.exit_status(LIMIT).await.code());
    assert!(vaned.log_lines().join("\n").contains("bad-listen-address"));
}

/// S18. A suppressed family is skipped where the address left it open.
#[tokio::test]
async fn a_suppressed_family_is_skipped_in_silence() {
    for (variable, kept) in [("VANE_BIND_IPV4", "[::]:0"), ("VANE_BIND_IPV6", "0.0.0.0:0")] {
        let config = ConfigDir::new().rule("a", says(":0", "a"));
        let vaned = Vaned::builder(&config).env(variable, "0").start().await;
        assert_eq!("a", said(vaned.only_addr().await).await.unwrap());
        assert_eq!("listening", listener(&vaned, kept).await["state"]);
        let loud = |line: &String| is_logged(line, "WARN", "") || is_logged(line, "ERROR", "");
        assert!(!vaned.log_lines().iter().any(loud), "{:#?}", vaned.log_lines());
    }
}

/// S18. Where an address asks for it, the configuration does not compile.
#[tokio::test]
async fn an_explicit_address_of_a_suppressed_family_does_not_compile() {
    for (variable, listen) in [("VANE_BIND_IPV4", "127.0.0.1:0"), ("VANE_BIND_IPV6", "[::1]:0")] {
        let config = ConfigDir::new().rule("a", says(listen, "a"));
        let mut vaned = Vaned::builder(&config).env(variable, "0").spawn();
        assert_eq!(Some(1), vaned.exit_status(LIMIT).await.code());
        let text = vaned.log_lines().join("\n");
        assert!(text.contains("error[family-suppressed]") && text.contains(variable), "{text}");
    }
}

/// S19. One of two is a single warning, and service.
#[tokio::test]
async fn one_family_of_two_is_one_warning() {
    let held = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let config = ConfigDir::new().rule("a", says(&format!(":{port}"), "six"));
    let vaned = hasty(&config).start().await;
    let v6: SocketAddr = (Ipv6Addr::LOCALHOST, port).into();
    assert_eq!("six", said(v6).await.unwrap());
    vaned.wait_for_log(|line| is_logged(line, "WARN", "one family")).await;
    assert_eq!(1, loud(&vaned).len(), "{:#?}", vaned.log_lines());
    assert_eq!("failed", listener(&vaned, &format!("0.0.0.0:{port}")).await["state"]);
}

/// S19. None of two is what any failed bind is: told, and no reason to end.
#[tokio::test]
async fn no_family_of_two_is_a_failed_bind() {
    // Takes both families at once.
    let held = TcpListener::bind("[::]:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let config = ConfigDir::new()
        .rule("a", says(&format!(":{port}"), "a"))
        .rule("b", says("127.0.0.1:0", "b"));
    let vaned = hasty(&config).start().await;
    for address in [format!("0.0.0.0:{port}"), format!("[::]:{port}")] {
        assert_eq!("failed", listener(&vaned, &address).await["state"]);
    }
    assert_eq!("b", said(vaned.addr("127.0.0.1:0").await).await.unwrap());
    until("both to be told", LIMIT, async || loud(&vaned).len() == 2).await;
    assert!(loud(&vaned).iter().all(|line| is_logged(line, "ERROR", &port.to_string())));
}

/// S17. Networks match addresses of their own family, on whichever listener.
#[tokio::test]
async fn networks_match_addresses_of_their_own_family() {
    let inside = |name: &str, cidr: &str| {
        json!({ "name": name, "listen": ":0", "match": { "remote.ip": { "cidr": [cidr] } },
            "respond": { "status": 200, "body": name } })
    };
    let rules = json!([inside("four", "127.0.0.0/8"), inside("six", "::1/128")]);
    let config = ConfigDir::new().file("rules/all.json", &rules.to_string());
    let vaned = Vaned::start(&config).await;
    assert_eq!("four", said(vaned.addr("0.0.0.0:0").await).await.unwrap());
    assert_eq!("six", said(vaned.addr("[::]:0").await).await.unwrap());
}

fn hasty(config: &ConfigDir) -> Builder {
    Vaned::builder(config)
        .env("VANE_BIND_BACKOFF_INITIAL_MS", "2")
        .env("VANE_BIND_MAX_ATTEMPTS", "3")
}

/// The warnings and errors of the log.
fn loud(vaned: &Vaned) -> Vec<String> {
    let lines = vaned.log_lines().into_iter();
    lines.filter(|line| is_logged(line, "WARN", "") || is_logged(line, "ERROR", "")).collect()
}
