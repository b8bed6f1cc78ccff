//! What the units make, and what the daemon may and says under them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use integration::failure::Failure;
use integration::machine::Machine;
use integration::raw_client::RawClient;
use integration::wait::until;

use super::{LIMIT, UNITS, serving, until_said, web};
use crate::lifecycle::{said, says};

/// S20. The sockets are there before the service, management for root and the group alone, and the
/// first client starts the service, which serves it.
#[tokio::test]
async fn the_first_client_starts_the_service_through_sockets_that_only_the_right_ones_may_use() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    machine.done(&[&["systemctl", "stop"], &UNITS[..]].concat()).await;
    machine.done(&["systemctl", "start", "vaned.socket", "vaned-mgmt.socket"]).await;
    assert_eq!("inactive", machine.property("vaned.service", "ActiveState").await);
    let file = fs::metadata(machine.path("/run/vaned.sock")).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(0o660, file.mode() & 0o7777);
    let owner = machine.done(&["stat", "--format=%U:%G", "/run/vaned.sock"]).await;
    assert_eq!("root:vaned\n", owner);
    assert_eq!("web", said(web()).await.unwrap());
    assert_eq!("active", machine.property("vaned.service", "ActiveState").await);
    assert_eq!("web", said("[::1]:80".parse().unwrap()).await.unwrap());
}

/// S20. The daemon has the rights that the units say and no more, as the kernel sees it.
#[tokio::test]
async fn the_daemon_has_the_rights_of_its_unit_and_no_more() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    let status = status_of(&machine).await;
    let user = machine.done(&["id", "--user", "vaned"]).await;
    let user = user.trim();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {status}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!([user; 4], *of("Uid:"));
    assert!(of("Groups:").iter().all(|group| *group == of("Gid:")[0]), "{status}");
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!([NET_BIND_SERVICE], *of(set), "{set}");
    }
    assert_eq!(["1"], *of("NoNewPrivs:"));
    assert_eq!(["2"], *of("Seccomp:"));
    assert_eq!("750 root:vaned\n", owner(&machine, "/etc/vaned").await);
    assert_eq!("700 vaned:vaned\n", owner(&machine, "/var/lib/vaned").await);
}

/// S20. What the daemon says of itself is what `systemctl status` shows, and `vane` asks it.
#[tokio::test]
async fn the_daemon_says_how_it_is_to_systemctl_and_to_vane() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    let shown = machine.done(&["systemctl", "status", "--no-pager", "vaned"]).await;
    let expected = "Status: \"generation 1 serves: 2 of 2 listeners, 1 rules\"";
    assert!(shown.contains(expected), "{shown}");
    let listeners = machine.done(&["vane", "get", "listeners"]).await;
    let inherited = listeners.lines().filter(|line| line.contains("inherited")).count();
    assert_eq!(4, inherited, "{listeners}");
    assert_eq!("notify", machine.property("vaned.service", "Type").await);
}

/// S20. `vane` finds the daemon from a login session, as root and as a member of the group, and
/// nobody else may ask it.
#[tokio::test]
async fn vane_is_answered_in_a_login_session_of_root_and_of_the_group_and_of_nobody_else() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    let nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup"];
    let member = [&nobody[..], &["--groups=vaned"]].concat();
    let stranger = [&nobody[..], &["--clear-groups"]].concat();
    let session = ["env", "XDG_RUNTIME_DIR=/run/user/7", "vane", "stats"];
    machine.done(&["mkdir", "--parents", "/run/user/7"]).await;
    for who in [&[][..], &member] {
        let shown = machine.done(&[who, &session].concat()).await;
        assert!(shown.contains("generation"), "{shown}");
    }
    let refused = machine.run(&[&stranger[..], &session].concat()).await;
    assert_eq!(3, refused.status, "{refused:?}");
    assert!(refused.stderr.contains("/var/run/vaned.sock"), "{refused:?}");
}

/// S20. A reload of what does not compile fails, says why in the journal, and leaves the daemon and
/// what it serves alone; the next one that compiles serves.
#[tokio::test]
async fn systemctl_reload_is_refused_for_what_does_not_compile_and_the_old_one_serves() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "old"))]).await else { return };
    let daemon = machine.daemon().await;
    machine.write("/etc/vaned/rules/web.json", r#"[{ "name": "web", "listn": ":80" }]"#);
    let refused = machine.run(&["systemctl", "reload", "vaned"]).await;
    assert_ne!(0, refused.status, "{refused:?}");
    let journal = machine.done(&["journalctl", "--no-pager", "--unit=vaned"]).await;
    assert!(journal.contains("listn") && journal.contains("/etc/vaned: invalid"), "{journal}");
    assert_eq!("old", said(web()).await.unwrap());
    machine.rule("web", says(":80", "new"));
    machine.done(&["systemctl", "reload", "vaned"]).await;
    until_said(web(), "new").await;
    assert_eq!(daemon, machine.daemon().await);
    let status = machine.property("vaned.service", "StatusText").await;
    assert!(status.contains("serves") && !status.contains("refused"), "{status}");
}

/// S20. The service that is stopped alone is started by the next client; all three units together
/// stay stopped, and nothing listens.
#[tokio::test]
async fn only_all_three_units_together_stay_stopped() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    machine.done(&["systemctl", "stop", "vaned"]).await;
    assert_eq!("web", said(web()).await.unwrap());
    machine.done(&[&["systemctl", "stop"], &UNITS[..]].concat()).await;
    assert_eq!(Some(Failure::Refused), RawClient::connect(web()).await.err());
    assert!(!machine.path("/run/vaned.sock").exists());
    assert_eq!(3, machine.run(&["vane", "ping"]).await.status);
    for unit in UNITS {
        assert_eq!("inactive", machine.property(unit, "ActiveState").await, "{unit}");
    }
    machine.done(&[&["systemctl", "start"], &UNITS[..]].concat()).await;
    until("an answer", LIMIT, async || said(web()).await.is_ok()).await;
}

/// S20. A configuration that does not compile at the start leaves the sockets open, and the service is
/// tried again until it does; who waited is served then.
#[tokio::test]
async fn a_daemon_that_cannot_start_is_tried_until_it_can_and_nobody_is_refused() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    machine.write("/etc/vaned/rules/web.json", "[{");
    machine.run(&["systemctl", "restart", "vaned"]).await;
    until("several starts", LIMIT, async || {
        let count = machine.property("vaned.service", "NRestarts").await;
        if count.parse::<u32>().unwrap() >= 6 { Ok(()) } else { Err(count) }
    })
    .await;
    let waiting = tokio::spawn(said(web()));
    machine.rule("web", says(":80", "mended"));
    assert_eq!("mended", waiting.await.unwrap().unwrap());
}

async fn status_of(machine: &Machine) -> String {
    let file = format!("/proc/{}/status", machine.daemon().await);
    fs::read_to_string(machine.path(&file)).unwrap()
}

async fn owner(machine: &Machine, path: &str) -> String {
    machine.done(&["stat", "--format=%a %U:%G", path]).await
}

/// CAP_NET_BIND_SERVICE alone, as the kernel prints it.
const NET_BIND_SERVICE: &str = "0000000000000400";
