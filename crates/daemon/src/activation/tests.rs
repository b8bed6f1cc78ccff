use rustix::net::{bind, listen, socket};

use super::*;

/// A socket as a unit with `BindIPv6Only=` in its default would make it, or not.
fn ipv6(address: &str, only: bool) -> OwnedFd {
    let address: SocketAddr = address.parse().unwrap();
    let fd = socket(AddressFamily::INET6, SocketType::STREAM, None).unwrap();
    sockopt::set_ipv6_v6only(&fd, only).unwrap();
    bind(&fd, &address).unwrap();
    listen(&fd, 1).unwrap();
    fd
}

fn activated(descriptors: Vec<(&str, OwnedFd)>) -> Activation {
    let mut activation = Activation::default();
    for (name, fd) in descriptors {
        activation.add(name, fd);
    }
    activation.refuse_twins();
    activation
}

#[test]
fn sockets_are_told_apart_by_what_they_are_and_not_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.sock");
    let local = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addresses = [tcp.local_addr().unwrap(), udp.local_addr().unwrap()];
    let activation = activated(vec![
        ("https", udp.into()),
        ("http", local.into()),
        ("mgmt", tcp.into()),
        ("mgmt", ipv6("[::1]:0", true)),
    ]);
    assert_eq!(activation.doubts(&path), Vec::<String>::new());
    assert!(activation.management(&path).unwrap().is_some());
    let found = |transport, address| {
        let mut sockets = activation.sockets.iter();
        sockets.any(|socket| socket.transport == transport && socket.address == address)
    };
    assert!(found(Transport::Tcp, addresses[0]) && found(Transport::Udp, addresses[1]));
    assert_eq!(activation.sockets.len(), 3);
}

#[test]
fn a_socket_of_both_families_is_refused_for_both_and_names_the_setting() {
    let activation = activated(vec![("http", ipv6("[::]:0", false))]);
    let ips: Vec<_> = activation.sockets.iter().map(|each| each.address.ip()).collect();
    assert_eq!(ips, ["0.0.0.0", "::"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap()));
    for socket in &activation.sockets {
        let why = socket.socket.as_ref().expect_err("it is refused");
        assert!(why.contains("BindIPv6Only=ipv6-only"), "{why}");
    }
}

#[test]
fn an_address_of_one_family_is_served_whatever_the_socket_would_let_in() {
    let activation = activated(vec![("http", ipv6("[::1]:0", false))]);
    assert!(activation.sockets[0].socket.is_ok());
    let activation = activated(vec![("http", ipv6("[::ffff:127.0.0.1]:0", false))]);
    assert!(activation.sockets[0].socket.is_err());
}

#[test]
fn what_is_kept_is_known_by_the_name_that_the_daemon_gave_it() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("vaned-tcp-127.0.0.1.{}", socket.local_addr().unwrap().port());
    assert_eq!(activated(vec![(&name, socket.into())]).sockets[0].source, Source::Kept);
}

#[test]
fn a_unit_whose_name_begins_like_one_in_the_store_is_not_from_there() {
    for name in ["http", "vaned-tcp-443.socket", "vaned-tcp-127.0.0.1.80"] {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(activated(vec![(name, socket.into())]).sockets[0].source, Source::Inherited);
    }
}

#[test]
fn a_count_that_no_process_can_have_is_refused_before_anything_is_set_aside_for_it() {
    assert_eq!(too_many(1024, 1024), None);
    let problem = too_many(u32::MAX.into(), 1024).expect("it is too high");
    assert!(problem.contains("LISTEN_FDS=4294967295") && problem.contains("1024"), "{problem}");
}

#[test]
fn what_cannot_be_used_is_reported_once() {
    let file: OwnedFd = tempfile::tempfile().unwrap().into();
    let mute = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let twin = first.try_clone().unwrap();
    let activation =
        activated(vec![("f", file), ("", mute), ("a", first.into()), ("b", twin.into())]);
    let problems = activation.doubts(Path::new("/nowhere/m.sock"));
    let expected = ["`f` is not used: it is no socket", "does not listen", "share an address"];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, part) in problems.iter().zip(expected) {
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn a_local_socket_elsewhere_is_reported_and_one_by_another_name_of_its_directory_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (run, link) = (dir.path().join("run"), dir.path().join("link"));
    std::fs::create_dir(&run).unwrap();
    std::os::unix::fs::symlink(&run, &link).unwrap();
    let bound = UnixListener::bind(run.join("vaned.sock")).unwrap();
    let activation = activated(vec![("mgmt", bound.into())]);
    assert!(activation.management(&link.join("vaned.sock")).unwrap().is_some());
    let elsewhere = run.join("other.sock");
    assert!(activation.management(&elsewhere).unwrap().is_none());
    let doubts = activation.doubts(&elsewhere);
    assert!(doubts.len() == 1 && doubts[0].contains("vaned.sock"), "{doubts:?}");
}
