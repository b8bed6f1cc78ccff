//! Sockets that a service manager hands over, and what it is told.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use integration::activation::Activation;
use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::http_origin::HttpOrigin;
use integration::load::{Mix, h2_clients, keep_alive_clients};
use integration::management::Management;
use integration::raw_client::RawClient;
use integration::sockets::private_address;
use integration::tools::Tool;
use integration::vaned::Vaned;
use integration::wait::{pass, until};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LIMIT, forwards, is_logged, listener, said, says, stats, until_said, until_state};

async fn start(config: &ConfigDir, activation: &mut Activation) -> Vaned {
    let vaned = Vaned::builder(config).activated(activation).start().await;
    activation.told_in_the_end("READY=1").await;
    vaned
}

async fn end(mut vaned: Vaned, activation: &mut Activation) {
    vaned.signal(Signal::TERM);
    activation.told_in_the_end("STOPPING=1").await;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

/// The states of listeners, and where their sockets come from.
fn origins(listeners: &[Value]) -> Vec<(&str, &str)> {
    listeners
        .iter()
        .map(|each| (each["state"].as_str().unwrap(), each["source"].as_str().unwrap()))
        .collect()
}

/// S20. Sockets are matched by what they are: two starts in different order, with names that say
/// something else, serve the same.
#[tokio::test]
async fn inherited_sockets_are_matched_by_address_whatever_their_order_and_name() {
    let mut activation = Activation::new();
    let web = activation.tcp("mgmt", "127.0.0.1:0");
    let other = activation.tcp("mgmt", "[::1]:0");
    let config = ConfigDir::new()
        .rule("a", says(&web.to_string(), "web"))
        .rule("b", says(&other.to_string(), "other"));
    for _ in 0..2 {
        let vaned = start(&config, &mut activation).await;
        assert_eq!("web", said(web).await.unwrap());
        assert_eq!("other", said(other).await.unwrap());
        let listeners = vaned.listeners().await;
        assert_eq!([("listening", "inherited"); 2], *origins(&listeners));
        end(vaned, &mut activation).await;
        activation.reverse();
    }
}

/// S20. What no rule listens on is reported once, shown, and served as soon as a rule does.
#[tokio::test]
async fn an_unmatched_socket_is_reported_once_and_served_when_a_rule_comes() {
    let mut activation = Activation::new();
    let (web, udp) = (activation.tcp("x", "127.0.0.1:0"), activation.udp("y", "127.0.0.1:0"));
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let vaned = start(&config, &mut activation).await;
    let waiting = tokio::spawn(async move { said(web).await });
    for address in [web, udp] {
        assert_eq!(json!("unclaimed"), listener(&vaned, &address.to_string()).await["state"]);
    }
    config.write_rule("a", says("127.0.0.1:0", "b"));
    vaned.reload().await;
    let lines = vaned.log_lines();
    for address in [web, udp].map(|address| address.to_string()) {
        let warned = lines.iter().filter(|line| is_logged(line, "WARN", &address)).count();
        assert_eq!(1, warned, "{lines:?}");
    }
    config.write_rule("a", says(&web.to_string(), "c"));
    vaned.reload().await;
    assert_eq!("c", waiting.await.unwrap().unwrap());
    assert_eq!("udp", listener(&vaned, &udp.to_string()).await["transport"]);
}

/// S20. A reload that removes the listener of an inherited socket parks it, and one that adds it
/// again serves whoever came meanwhile: nobody is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inherited_listener_can_be_removed_and_added_again_without_a_refusal() {
    let mut activation = Activation::new();
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new()
        .rule("kept", says("127.0.0.2:0", "kept"))
        .rule("web", says(&web.to_string(), "0"));
    let vaned = start(&config, &mut activation).await;
    for round in 1..=5 {
        assert_eq!((round - 1).to_string(), said(web).await.unwrap());
        config.remove("rules/web.json");
        vaned.reload().await;
        until_state(&vaned, &web.to_string(), "unclaimed").await;
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let mut client = RawClient::connect(web).await.expect("nobody is refused");
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            waiting.push(client);
        }
        config.write_rule("web", says(&web.to_string(), &round.to_string()));
        vaned.reload().await;
        for mut client in waiting {
            assert_eq!(round.to_string(), client.read_response().await.unwrap().text());
        }
    }
    assert!(!vaned.log_lines().iter().any(|line| is_logged(line, "ERROR", "")));
}

/// S17. S20. A socket that would take IPv4 in IPv6 form is refused, the message names the setting of
/// the unit, and the other listeners serve.
#[tokio::test]
async fn an_inherited_socket_of_both_families_is_refused_and_the_setting_is_named() {
    let mut activation = Activation::new();
    let both = activation.dual("http", "[::]:0");
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new()
        .rule("both", says(&format!(":{}", both.port()), "both"))
        .rule("web", says(&web.to_string(), "web"));
    let vaned = start(&config, &mut activation).await;
    assert_eq!("web", said(web).await.unwrap());
    for address in [format!("0.0.0.0:{}", both.port()), both.to_string()] {
        let failed = until_state(&vaned, &address, "failed").await;
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains("BindIPv6Only=ipv6-only"), "{error}");
        assert_eq!(json!(1), failed["attempts"]);
        vaned.wait_for_log(|line| is_logged(line, "ERROR", "BindIPv6Only=ipv6-only")).await;
    }
}

/// S20. The management socket is found by its path, and its file is there after the end, for the
/// manager to listen on.
#[tokio::test]
async fn the_management_socket_is_inherited_and_its_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.sock");
    let mut activation = Activation::new();
    activation.tcp("a", "127.0.0.1:0");
    activation.local("b", &path);
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    for _ in 0..2 {
        // Whoever asks before the daemon is there is answered when it is.
        let management = Management::at(&path);
        let early = tokio::spawn(async move { management.call("ping", json!({})).await });
        let vaned = Vaned::builder(&config).management_at(&path).activated(&activation);
        let vaned = vaned.start().await;
        activation.told_in_the_end("READY=1").await;
        assert_eq!(json!(vaned.pid()), early.await.unwrap().unwrap()["pid"]);
        end(vaned, &mut activation).await;
        assert!(path.exists() && !dir.path().join("m.sock.lock").exists());
    }
}

/// S20. Under load, a daemon with inherited sockets is restarted twenty times: no connection is
/// refused, and no exchange is lost, as both ends count them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_restarts_under_load_refuse_nobody_and_lose_nothing() {
    let origin = HttpOrigin::start().await;
    let mut activation = Activation::new();
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new().rule("a", forwards(&web.to_string(), &origin.url()));
    let mut vaned = start(&config, &mut activation).await;
    let mix = Mix::new("a").get("/headers").post("/echo", 700).get("/slow/20");
    let mix = mix.pause(Duration::from_millis(5));
    let http1 = keep_alive_clients(16, web, &mix);
    let http2 = h2_clients(4, 3, web, &mix);
    for _ in 0..20 {
        http1.more_answers(40).await;
        end(vaned, &mut activation).await;
        vaned = start(&config, &mut activation).await;
    }
    let (http1, http2) = (http1.stop().await, http2.stop().await);
    http1.assert_nothing_lost();
    http2.assert_nothing_lost();
    assert_eq!(http1.sent + http2.sent, origin.count());
    assert_eq!(Vec::<String>::new(), origin.repeated_ids());
    assert!(http1.reconnects > 20, "{http1}");
}

/// S20. A daemon that is killed loses what it had in hand, and nobody who comes: the next one
/// serves whoever waits.
#[tokio::test]
async fn who_comes_after_a_crash_is_served_by_the_next_daemon() {
    let mut activation = Activation::new();
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new().rule("a", says(&web.to_string(), "a"));
    for _ in 0..3 {
        let mut vaned = start(&config, &mut activation).await;
        assert_eq!("a", said(web).await.unwrap());
        vaned.signal(Signal::KILL);
        vaned.exit_status(LIMIT).await;
        let waiting = tokio::spawn(said(web));
        let next = start(&config, &mut activation).await;
        assert_eq!("a", waiting.await.unwrap().unwrap());
        end(next, &mut activation).await;
    }
}

/// S20. A socket that the daemon bound is kept for it, and taken back after a crash and after an
/// end: who comes meanwhile waits. It is given up with its listener.
#[tokio::test]
async fn what_the_daemon_bound_is_kept_over_crashes_and_ends() {
    let mut activation = Activation::new();
    let web = SocketAddr::new(private_address().into(), 8080);
    let config = ConfigDir::new()
        .rule("web", says(&web.to_string(), "web"))
        .rule("kept", says("127.0.0.1:0", "kept"));
    let mut vaned = start(&config, &mut activation).await;
    let name = format!("vaned-tcp-{}.8080", web.ip());
    assert!(activation.stored().contains(&name), "{:?}", activation.stored());
    for signal in [Signal::KILL, Signal::TERM, Signal::KILL] {
        assert_eq!("web", said(web).await.unwrap());
        vaned.signal(signal);
        vaned.exit_status(LIMIT).await;
        let mut waiting = RawClient::connect(web).await.expect("nobody is refused");
        waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        vaned = start(&config, &mut activation).await;
        assert_eq!("web", waiting.read_response().await.unwrap().text());
        assert_eq!(json!("inherited"), listener(&vaned, &web.to_string()).await["source"]);
    }
    config.remove("rules/web.json");
    vaned.reload().await;
    until("the store to give up the socket", LIMIT, async || {
        activation.message();
        !activation.stored().contains(&name)
    })
    .await;
    assert_eq!(Some(Failure::Refused), RawClient::connect(web).await.err());
    config.write_rule("web", says(&web.to_string(), "again"));
    vaned.reload().await;
    until_said(web, "again").await;
}

/// S20. A reload that removes a listener is over when the store has closed its copy, however long the
/// manager takes: the address can be bound at once.
#[tokio::test]
async fn an_address_that_is_given_up_is_free_when_the_reload_is_answered() {
    let mut activation = Activation::new();
    let web = SocketAddr::new(private_address().into(), 8080);
    let config = ConfigDir::new()
        .rule("web", says(&web.to_string(), "web"))
        .rule("kept", says("127.0.0.1:0", "kept"));
    let vaned = start(&config, &mut activation).await;
    for _ in 0..3 {
        config.remove("rules/web.json");
        let mut reloading = pin!(vaned.reload());
        loop {
            tokio::select! {
                _ = &mut reloading => break,
                () = pass(MANAGER_IS_BUSY) => while activation.message().is_some() {},
            }
        }
        config.write_rule("web", says(&web.to_string(), "again"));
        vaned.reload().await;
        let found = listener(&vaned, &web.to_string()).await;
        assert_eq!(json!(["listening", 1]), json!([found["state"], found["attempts"]]));
        until_said(web, "again").await;
    }
}

/// S20. A manager that takes no word for a while holds nothing up, and is told everything when it
/// does, in its order.
#[tokio::test]
async fn a_manager_that_is_deaf_for_a_while_is_told_afterwards() {
    let mut activation = Activation::new();
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new().rule("a", says(&web.to_string(), "0"));
    activation.clog();
    let vaned = Vaned::builder(&config).activated(&activation).start().await;
    pass(MANAGER_IS_DEAF).await;
    config.write_rule("a", says(&web.to_string(), "1"));
    vaned.reload().await;
    activation.told_in_the_end("STATUS=generation 1 serves: 1 of 1 listeners, 1 rules").await;
    activation.told("STATUS=reloading").await;
    activation.told("STATUS=generation 2 serves: 1 of 1 listeners, 1 rules").await;
}

/// S20. A socket in the store whose listener a restart leaves out is given up.
#[tokio::test]
async fn what_was_kept_and_is_configured_no_more_is_given_up() {
    let mut activation = Activation::new();
    let web = SocketAddr::new(private_address().into(), 8080);
    let config = ConfigDir::new().rule("web", says(&web.to_string(), "web"));
    end(start(&config, &mut activation).await, &mut activation).await;
    assert_eq!(1, activation.stored().len());
    config.write_rule("web", says("127.0.0.1:0", "elsewhere"));
    let _vaned = start(&config, &mut activation).await;
    assert!(activation.stored().iter().all(|name| !name.ends_with(".8080")));
    assert_eq!(Some(Failure::Refused), RawClient::connect(web).await.err());
}

/// S20. Each step is told, in its order, and a reload that is refused is over as well.
#[tokio::test]
async fn the_service_manager_is_told_each_step() {
    let mut activation = Activation::new();
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new().rule("a", says(&web.to_string(), "a"));
    let vaned = Vaned::builder(&config).activated(&activation).start().await;
    let ready = activation.told("READY=1").await;
    assert_eq!("READY=1\nSTATUS=generation 1 serves: 1 of 1 listeners, 1 rules\n", ready);
    config.write_rule("a", says(&web.to_string(), "b"));
    vaned.reload().await;
    let begins = activation.told("RELOADING=1").await;
    assert!(begins.contains("\nMONOTONIC_USEC="), "{begins}");
    assert!(activation.told("READY=1").await.contains("generation 2 serves"));
    config.write("rules/a.json", "{");
    vaned.signal(Signal::HUP);
    let mut told = Vec::new();
    until("a refusal", LIMIT, async || {
        told.extend(activation.message());
        told.last().is_some_and(|text| text.contains("; the last reload was refused"))
    })
    .await;
    // The change is seen as well, so there may be several reloads; each begins and ends.
    for reload in told.chunks(2) {
        let [begin, end] = reload else { panic!("{told:?}") };
        assert!(begin.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told:?}");
        assert!(end.starts_with("READY=1\nSTATUS=generation 2 serves"), "{told:?}");
    }
    end(vaned, &mut activation).await;
    assert_eq!(None, activation.message());
}

/// S20. While serving threads run, the manager hears of it twice in the time that it waits; a long
/// end asks for the time that it takes, and is heard of all along.
#[tokio::test]
async fn a_long_end_asks_for_time_and_the_watchdog_is_fed_throughout() {
    let origin = HttpOrigin::start().await;
    let mut activation = Activation::new();
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new().rule("a", forwards(&web.to_string(), &origin.url()));
    let builder = Vaned::builder(&config).activated(&activation).env("WATCHDOG_USEC", "400000");
    let mut vaned = builder.start().await;
    activation.told_in_the_end("WATCHDOG=1").await;
    let slow = tokio::spawn(async move {
        RawClient::connect(web).await?.get("/slow/5000", "a").await.map(|answer| answer.status)
    });
    until("a request in flight", LIMIT, async || {
        activation.message();
        stats(&vaned).await["requests"]["active"] == 1
    })
    .await;
    vaned.signal(Signal::TERM);
    activation.told_in_the_end("STOPPING=1").await;
    activation.told("WATCHDOG=1").await;
    let more = activation.told_in_the_end("EXTEND_TIMEOUT_USEC=9000000").await;
    assert!(more.contains("1 connections are open"), "{more}");
    activation.told("WATCHDOG=1").await;
    assert_eq!(200, slow.await.unwrap().unwrap());
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

/// S20. systemd's own tool hands sockets over at the first connection, and that one is served.
#[tokio::test]
async fn the_tool_of_systemd_activates_the_daemon_with_the_first_connection() {
    let Some(activate) = Tool::SOCKET_ACTIVATE.find() else { return };
    let (ip, dir) = (private_address(), tempfile::tempdir().unwrap());
    let web = SocketAddr::new(ip.into(), 8080);
    let (web_text, path) = (web.to_string(), dir.path().join("m.sock"));
    let config = ConfigDir::new().rule("a", says(&web_text, "a"));
    let mut command = vec![activate.to_str().unwrap(), "-l", &web_text];
    command.extend(["-l", path.to_str().unwrap()]);
    // It passes on what it is told to, and nothing else.
    for name in ["VANE_MGMT_UNIX", "VANE_STATE_DIR", "VANE_LOG_FORMAT"] {
        command.extend(["-E", name]);
    }
    let builder = Vaned::builder(&config).within(&command).management_at(&path);
    let mut vaned = builder.spawn();
    let first = until("the tool to listen", LIMIT, async || RawClient::connect(web).await).await;
    drop(first);
    vaned.ready().await;
    assert_eq!("a", said(web).await.unwrap());
    assert_eq!(json!("inherited"), listener(&vaned, &web_text).await["source"]);
    vaned.signal(Signal::TERM);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(path.exists());
}

/// Longer than a daemon might wait for a word to be taken.
const MANAGER_IS_DEAF: Duration = Duration::from_millis(1500);
/// What a manager may have to do before it looks at what it is told.
const MANAGER_IS_BUSY: Duration = Duration::from_millis(300);
