//! The package for Debian, from its installation to its purge.

use std::time::Duration;

use integration::failure::Failure;
use integration::http_origin::HttpOrigin;
use integration::load::{Mix, h2_clients, keep_alive_clients};
use integration::machine::{Machine, Visit};
use integration::raw_client::RawClient;
use integration::tools;

use super::{UNITS, until_ready, web};
use crate::lifecycle::{forwards, said, says};

/// S20. A fresh installation serves a page that says where rules are written, is enabled and active, and
/// answers `vane` of root.
#[tokio::test]
async fn a_fresh_installation_serves_a_page_that_says_how_to_go_on() {
    let Some((_visit, machine)) = installed().await else { return };
    let page = said(web()).await.unwrap();
    assert!(page.contains("/etc/vaned/rules"), "{page}");
    for unit in UNITS {
        assert_eq!("active", machine.property(unit, "ActiveState").await, "{unit}");
        assert_eq!("enabled", machine.property(unit, "UnitFileState").await, "{unit}");
    }
    let stats = machine.done(&["vane", "stats"]).await;
    assert!(stats.contains("generation"), "{stats}");
    machine.done(&["vaned", "--check"]).await;
    machine
        .done(&["setpriv", "--reuid=vaned", "--regid=vaned", "--clear-groups", "vaned", "--check"])
        .await;
    let journal = machine.done(&["journalctl", "--no-pager", "--unit=vaned"]).await;
    assert!(!journal.contains("ERROR"), "{journal}");
}

/// S20. The package has its files and no other, with the modes that they need, and dpkg finds each as
/// it was packed.
#[tokio::test]
async fn the_package_has_the_files_that_it_names() {
    let Some((_visit, machine)) = installed().await else { return };
    let files =
        machine.script("dpkg -L vaned | while read -r f; do [ -d $f ] || echo $f; done").await;
    let mut files: Vec<_> = files.lines().filter(|file| !file.contains("/examples/")).collect();
    files.sort_unstable();
    assert_eq!(FILES, *files);
    let modes = ["/usr/bin/vaned", "/usr/bin/vane", "/etc/vaned", "/etc/vaned/rules/welcome.json"];
    let modes = machine.done(&[&["stat", "--format=%a %U:%G"], &modes[..]].concat()).await;
    assert_eq!("755 root:root\n755 root:root\n750 root:vaned\n644 root:root\n", modes);
    assert_eq!("", machine.done(&["dpkg", "--verify", "vaned"]).await);
    let example = "/usr/share/doc/vaned/examples/reverse-proxy";
    machine.done(&["vane", "check", example]).await;
}

/// S20. An upgrade under load puts another daemon in the place of the old one: no connection is refused
/// and no exchange is lost, as both ends count them; the administrator's rules stay.
#[tokio::test]
async fn an_upgrade_refuses_nobody_loses_nothing_and_keeps_what_the_administrator_wrote() {
    let Some((_visit, machine)) = installed().await else { return };
    let origin = HttpOrigin::start().await;
    machine.rule("welcome", forwards(":80", &origin.url()));
    machine.done(&["systemctl", "reload", "vaned"]).await;
    machine.done(&["vane", "reload"]).await;
    let mix = Mix::new("a").get("/headers").post("/echo", 700).get("/slow/20");
    let mix = mix.pause(Duration::from_millis(5));
    let (http1, http2) = (keep_alive_clients(8, web(), &mix), h2_clients(2, 3, web(), &mix));
    let before = machine.daemon().await;
    http1.more_answers(40).await;
    repack(&machine, "9.0").await;
    machine.done(&["dpkg", "--install", "/root/9.0.deb"]).await;
    http1.more_answers(40).await;
    let (http1, http2) = (http1.stop().await, http2.stop().await);
    http1.assert_nothing_lost();
    http2.assert_nothing_lost();
    assert_eq!(http1.sent + http2.sent, origin.count());
    assert_ne!(before, machine.daemon().await);
    let version = ["dpkg-query", "--show", "--showformat=${Version} ${Status}", "vaned"];
    assert_eq!("9.0 install ok installed", machine.done(&version).await);
}

/// S20. What an administrator has switched off stays off over an upgrade.
#[tokio::test]
async fn an_upgrade_starts_nothing_that_was_switched_off() {
    let Some((_visit, machine)) = installed().await else { return };
    machine.done(&[&["systemctl", "disable", "--now"], &UNITS[..]].concat()).await;
    repack(&machine, "9.0").await;
    machine.done(&["dpkg", "--install", "/root/9.0.deb"]).await;
    for unit in UNITS {
        assert_eq!("inactive", machine.property(unit, "ActiveState").await, "{unit}");
        assert_eq!("disabled", machine.property(unit, "UnitFileState").await, "{unit}");
    }
}

/// S20. A package that is removed stops everything and leaves configuration and certificates, with
/// which it serves again when it is installed anew; a purge leaves nothing of it.
#[tokio::test]
async fn a_removed_package_leaves_configuration_and_state_and_a_purged_one_nothing() {
    let Some((_visit, machine)) = installed().await else { return };
    machine.rule("mine", says(":80", "mine"));
    machine.write("/var/lib/vaned/kept", "x");
    machine.done(&["dpkg", "--remove", "vaned"]).await;
    assert_eq!(Some(Failure::Refused), RawClient::connect(web()).await.err());
    assert_eq!("", machine.script("systemctl --failed --quiet").await);
    for left in
        ["/etc/vaned/rules/mine.json", "/etc/vaned/rules/welcome.json", "/var/lib/vaned/kept"]
    {
        assert!(machine.path(left).exists(), "{left}");
    }
    machine.done(&["dpkg", "--install", PACKAGE]).await;
    until_ready(&machine).await;
    assert_eq!("mine", said(web()).await.unwrap());
    machine.done(&["rm", "/etc/vaned/rules/mine.json"]).await;
    machine.done(&["dpkg", "--purge", "vaned"]).await;
    assert_eq!(Some(Failure::Refused), RawClient::connect(web()).await.err());
    let left = "find / /usr /etc /var/lib/dpkg /run -xdev -name '*vaned*' -not -path '/root/*' \
                -not -path '/.layers/*' -not -path '/run/systemd/units/*'";
    assert_eq!("", machine.script(left).await);
}

/// A machine on which the package was installed, with the calling thread in its network.
async fn installed() -> Option<(Visit, Machine)> {
    let package = package()?;
    let machine = Machine::boot().await?;
    let visit = machine.visit();
    machine.copy(&package, PACKAGE);
    machine.done(&["dpkg", "--install", PACKAGE]).await;
    until_ready(&machine).await;
    Some((visit, machine))
}

/// What `cargo xtask test` made of the programs; without it the calling test is skipped.
fn package() -> Option<std::path::PathBuf> {
    let found = integration::binary::beside("vaned.deb");
    if found.is_none() {
        tools::skipped("there is no package: `cargo xtask test --only build,package` makes it");
    }
    found
}

/// Makes the same package of another version.
async fn repack(machine: &Machine, version: &str) {
    let lines = format!(
        "dpkg-deb --raw-extract {PACKAGE} /root/raw
        sed -i 's/^Version: .*/Version: {version}/' /root/raw/DEBIAN/control
        dpkg-deb -Znone --build /root/raw /root/{version}.deb"
    );
    machine.script(&lines).await;
}

const PACKAGE: &str = "/root/vaned.deb";
const FILES: [&str; 19] = [
    "/etc/vaned/rules/welcome.json",
    "/lib/systemd/system/vaned-mgmt.socket",
    "/lib/systemd/system/vaned.service",
    "/lib/systemd/system/vaned.socket",
    "/usr/bin/vane",
    "/usr/bin/vaned",
    "/usr/lib/sysusers.d/vaned.conf",
    "/usr/lib/tmpfiles.d/vaned.conf",
    "/usr/share/bash-completion/completions/vane",
    "/usr/share/doc/vaned/LICENSE-APACHE",
    "/usr/share/doc/vaned/LICENSE-MIT",
    "/usr/share/doc/vaned/configuration.md",
    "/usr/share/doc/vaned/copyright",
    "/usr/share/doc/vaned/environment.md",
    "/usr/share/doc/vaned/operations.md",
    "/usr/share/doc/vaned/package.md",
    "/usr/share/fish/vendor_completions.d/vane.fish",
    "/usr/share/man/man1/vane.1",
    "/usr/share/zsh/vendor-completions/_vane",
];
