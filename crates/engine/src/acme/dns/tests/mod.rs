//! Records put and removed through each provider, with the real thing at the other end where one
//! can be had.

mod cloudflare;
mod exec;
mod rfc2136;

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use vane_core::rules::tls::{Dns, DnsProvider};

use crate::acme::dns::{DnsContext, DnsFailure, Record, cleanup, present};
use crate::acme::http::HttpsClient;

/// One provider with what it needs.
struct Provider {
    dns: Dns,
    client: HttpsClient,
}

impl Provider {
    fn new(provider: DnsProvider) -> Self {
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let dns = Dns { provider, wait: Duration::ZERO };
        Self { dns, client: HttpsClient::new(Arc::new(tls)) }
    }

    async fn present(&self, name: &str, value: &str) -> Result<Record, DnsFailure> {
        let mut record = self.record(name, value);
        present(&mut record, self.context()).await.map(|()| record)
    }

    /// A record of which it is not known whether it was put.
    fn record(&self, name: &str, value: &str) -> Record {
        Record::new(&self.dns, name, value)
    }

    async fn cleanup(&self, record: &Record) -> Result<(), DnsFailure> {
        cleanup(record, self.context()).await
    }

    fn context(&self) -> DnsContext<'_> {
        DnsContext { client: &self.client, path: OsStr::new("/usr/bin:/bin") }
    }

    /// What the operator reads when a record is not put.
    async fn words(&self, name: &str) -> String {
        self.present(name, "value").await.unwrap_err().to_string()
    }
}
