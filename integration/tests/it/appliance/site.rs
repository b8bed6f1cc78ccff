//! A site whose certificate an authority issues.

use integration::tls_client::{Handshake, TlsClient};
use integration::wait::until;
use serde_json::{Value, json};

use super::rig::{Authority, Daemon, Door, LIMIT, Rig, Settings};

/// A daemon that has served in clear, and now has a rule for a site.
pub(super) struct Site<R: Rig> {
    pub(super) authority: R::Authority,
    pub(super) daemon: R::Daemon,
}

/// The name of the site.
pub(super) const NAME: &str = "site.test";

impl<R: Rig> Site<R> {
    /// With that authority, for which the name leads to the daemon. Nothing is ordered yet.
    pub(super) async fn with(rig: &R, authority: R::Authority) -> Self {
        rig.config().write("ca.pem", &authority.ca_pem());
        rig.says("clear", Door::Clear, "clear");
        let daemon = rig.start(&Settings::default()).await;
        Self { authority, daemon }
    }

    /// With its certificate, which came by http-01, and everything passed to that server.
    pub(super) async fn issued(rig: &R, url: &str) -> Option<Self> {
        let site = Self::with(rig, rig.authority(None).await?).await;
        site.point_to_daemon(rig).await;
        let directory = site.authority.directory();
        site.order(rig, &directory, json!({ "challenge": "http-01" }), url).await;
        site.until_serving().await;
        Some(site)
    }

    /// The name has the daemon's address.
    pub(super) async fn point_to_daemon(&self, rig: &R) {
        self.authority.point_to(rig.v4(&self.daemon, Door::Clear).await.ip()).await;
    }

    /// Has the daemon order the certificate, by a reload.
    pub(super) async fn order(&self, rig: &R, directory: &str, acme: Value, url: &str) {
        let mut settings = json!({ "directory": directory, "ca_file": "ca.pem",
            "contact": "mailto:ops@example.com", "agree_tos": true });
        settings.as_object_mut().unwrap().extend(acme.as_object().unwrap().clone());
        rig.config().write("config.json", &json!({ "acme": settings }).to_string());
        let rule = json!({ "listen": rig.door(Door::Secure).written, "match": { "http.host": NAME },
            "tls": { "acme": true }, "forward": url });
        rig.config().write_rule("site", rule);
        self.daemon.reload().await;
    }

    /// Waits until its certificate serves and no order is under way.
    pub(super) async fn until_serving(&self) {
        until("the certificate to serve", LIMIT, async || {
            let cert = self.cert().await;
            let is_done = cert["state"] == "serving" && cert["managed"]["ordering"] == false;
            if is_done { Ok(()) } else { Err(cert) }
        })
        .await;
    }

    /// Its certificate, as the daemon reports it.
    pub(super) async fn cert(&self) -> Value {
        self.daemon.json(&["get", "certs"]).await["certs"][0].clone()
    }

    /// What a request of that client to the site comes to; the client is left with a ticket for the
    /// next time.
    pub(super) async fn visit(&self, rig: &R, client: &TlsClient) -> Handshake {
        let addr = rig.v4(&self.daemon, Door::Secure).await;
        let connected = client.connect(addr, Some(NAME)).await;
        let mut connection = connected.unwrap_or_else(|failure| panic!("{addr}: {failure}"));
        if client.wants_ticket(&connection.handshake) {
            connection.ticket().await.unwrap();
        }
        let handshake = connection.handshake.clone();
        assert_eq!(200, connection.http1().get("/headers", NAME).await.unwrap().status);
        handshake
    }
}
