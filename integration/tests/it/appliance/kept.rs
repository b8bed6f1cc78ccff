//! What outlives a daemon: its certificates, and the keys of its sessions.

use integration::load::{Mix, keep_alive_clients};
use rustix::process::Signal;

use super::rig::{Authority, Daemon, Door, LIMIT, Rig};
use super::site::{NAME, Site};

scenarios!(
    a_killed_daemon_comes_back_with_all_that_it_had,
    another_build_takes_over_with_all_that_the_one_before_had,
);

/// S21. S4. T5. Killed under load: what was answered had arrived, what is sent to the next one is
/// answered, with the certificate and the sessions from before, and nothing is ordered.
async fn a_killed_daemon_comes_back_with_all_that_it_had<R: Rig>(rig: R) {
    let origin = rig.origin().await;
    let Some(mut site) = Site::issued(&rig, &origin.url()).await else { return };
    let client = site.authority.client().await;
    let before = site.visit(&rig, &client).await;
    let mix = Mix::new(NAME).get("/headers").post("/echo", 3000).over_tls(&client);
    let load = keep_alive_clients(6, rig.v4(&site.daemon, Door::Secure).await, &mix);
    load.more_answers(200).await;
    site.daemon.signal(Signal::KILL).await;
    assert_eq!(137, site.daemon.exit_status(LIMIT).await);
    let tally = load.stop().await;
    assert!(tally.failures() > 0, "a kill is noticed: {tally}");
    let (sent, arrived) = (tally.sent + 1, origin.count());
    assert!((tally.answered..=sent).contains(&arrived), "{arrived} of {tally}");
    assert_eq!(Vec::<String>::new(), origin.repeated_ids());

    rig.start_again(&mut site.daemon).await;
    comes_back(&rig, &site, &client, &before.leaf).await;
    let load = keep_alive_clients(6, rig.v4(&site.daemon, Door::Secure).await, &mix);
    load.more_answers(200).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(arrived + 1 + tally.sent, origin.count());
}

/// S21. S4. T5. In containers an image of another name on the same volume. Over both, each request
/// that was sent was answered and has arrived.
async fn another_build_takes_over_with_all_that_the_one_before_had<R: Rig>(rig: R) {
    let origin = rig.origin().await;
    let Some(site) = Site::issued(&rig, &origin.url()).await else { return };
    let client = site.authority.client().await;
    let before = site.visit(&rig, &client).await;
    let Site { authority, daemon } = site;
    let site = Site { authority, daemon: rig.upgrade(daemon).await };
    comes_back(&rig, &site, &client, &before.leaf).await;
    let mix = Mix::new(NAME).get("/headers").post("/echo", 3000).over_tls(&client);
    let load = keep_alive_clients(4, rig.v4(&site.daemon, Door::Secure).await, &mix);
    load.more_answers(100).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(2 + tally.sent, origin.count());
}

/// The client from before resumes its session, under the certificate from before, which nobody has
/// ordered anew.
async fn comes_back<R: Rig>(
    rig: &R,
    site: &Site<R>,
    client: &integration::tls_client::TlsClient,
    leaf: &integration::certs::Certificate,
) {
    let after = site.visit(rig, client).await;
    assert!(after.resumed, "the keys of sessions are kept");
    let stranger = site.authority.client().await;
    let addr = rig.v4(&site.daemon, Door::Secure).await;
    let handshake = stranger.connect(addr, Some(NAME)).await.unwrap().handshake;
    assert_eq!((leaf, false), (&handshake.leaf, handshake.resumed));
    assert_eq!("serving", site.cert().await["state"]);
    assert_eq!(1, site.authority.orders().await);
}
