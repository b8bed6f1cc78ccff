//! An authority, as one account of ours sees it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Collected, Full};
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, Error, ExternalAccountKey, HttpClient,
    NewAccount,
};
use rustls::ClientConfig;
use tokio::task::spawn_blocking;
use vane_core::rules::tls::{AccountBinding, AcmeAccount};

use crate::acme::failure::OrderFailure;
use crate::acme::http::HttpsClient;
use crate::acme::storage::record::Credentials;
use crate::acme::storage::{Loaded, Storage};
use crate::tls::{client, provider};

/// An account with an authority.
pub(crate) struct Authority {
    /// For orders.
    pub(crate) account: Account,
    https: HttpsClient,
    retry_after: RetryAfter,
}

/// When the authority last said to come again, in an answer that refused something.
type RetryAfter = Arc<Mutex<Option<Duration>>>;

impl Authority {
    /// Takes up the stored account, or makes one and stores it.
    ///
    /// # Errors
    /// When the authority cannot be reached or refuses, or the account cannot be stored.
    pub(crate) async fn meet(
        settings: &AcmeAccount,
        storage: &Arc<Storage>,
    ) -> Result<Self, OrderFailure> {
        let retry_after = RetryAfter::default();
        let https = client(settings).await?;
        let client = || {
            let (https, retry_after) = (https.clone(), Arc::clone(&retry_after));
            Account::builder_with_http(Box::new(Client { https, retry_after }))
        };
        let account = match stored(settings, storage).await? {
            Some(credentials) => client().from_credentials(credentials).await,
            None => return make(settings, storage, client(), (https, retry_after)).await,
        };
        match account {
            Ok(account) => Ok(Self { account, https, retry_after }),
            Err(error) => Err(OrderFailure::new(error, take(&retry_after))),
        }
    }

    /// What speaks HTTPS to it, and to others under the roots of the same settings.
    pub(crate) fn https(&self) -> &HttpsClient {
        &self.https
    }

    /// A failure of something that was asked of it.
    pub(crate) fn failure(&self, error: Error) -> OrderFailure {
        OrderFailure::new(error, take(&self.retry_after))
    }
}

fn take(retry_after: &RetryAfter) -> Option<Duration> {
    retry_after.lock().unwrap_or_else(PoisonError::into_inner).take()
}

async fn client(settings: &AcmeAccount) -> Result<HttpsClient, OrderFailure> {
    let ca_file = settings.ca_file.clone();
    let roots = spawn_blocking(move || client::roots(ca_file.as_deref())).await;
    let roots = roots.map_err(OrderFailure::ours)?.map_err(OrderFailure::ours)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(HttpsClient::new(Arc::new(config)))
}

async fn stored(
    settings: &AcmeAccount,
    storage: &Arc<Storage>,
) -> Result<Option<AccountCredentials>, OrderFailure> {
    let (settings, storage) = (settings.clone(), Arc::clone(storage));
    let loaded = spawn_blocking(move || storage.account(&settings)).await;
    let Loaded { value, damage } = loaded.map_err(OrderFailure::ours)?;
    damage.iter().for_each(|damage| tracing::warn!("{damage}"));
    let parsed = value.map(|kept| serde_json::from_value(kept.expose().clone()));
    parsed.transpose().map_err(OrderFailure::ours)
}

async fn make(
    settings: &AcmeAccount,
    storage: &Arc<Storage>,
    builder: instant_acme::AccountBuilder,
    (https, retry_after): (HttpsClient, RetryAfter),
) -> Result<Authority, OrderFailure> {
    let contact: Vec<&str> = settings.contact.iter().map(AsRef::as_ref).collect();
    let new = NewAccount {
        contact: &contact,
        // The compiler refuses a configuration that does not agree.
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let binding = settings.binding.as_ref().map(external_key).transpose()?;
    let directory = settings.directory.to_string();
    let made = builder.create(&new, directory, binding.as_ref()).await;
    let (account, credentials) =
        made.map_err(|error| OrderFailure::new(error, take(&retry_after)))?;
    let credentials = serde_json::to_value(&credentials).map_err(OrderFailure::ours)?;
    let (settings, storage) = (settings.clone(), Arc::clone(storage));
    let kept = Credentials::new(credentials);
    let saved = spawn_blocking(move || {
        tracing::info!(directory = %settings.directory, "account made with a certificate authority");
        storage.save_account(&settings, &kept)
    });
    saved.await.map_err(OrderFailure::ours)?.map_err(OrderFailure::ours)?;
    Ok(Authority { account, https, retry_after })
}

fn external_key(binding: &AccountBinding) -> Result<ExternalAccountKey, OrderFailure> {
    let key = binding.hmac_key.expose().trim_end_matches('=');
    let key = URL_SAFE_NO_PAD.decode(key).map_err(|_| {
        OrderFailure::ours("`hmac_key` of `eab` is not base64url, as the authority gave it")
    })?;
    Ok(ExternalAccountKey::new(binding.key_id.to_string(), &key))
}

/// Speaks HTTP for the ACME client.
struct Client {
    https: HttpsClient,
    retry_after: RetryAfter,
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (https, retry_after) = (self.https.clone(), Arc::clone(&self.retry_after));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body =
                body.collect().await.map_or_else(|never| match never {}, Collected::to_bytes);
            let answer = https.send(Request::from_parts(parts, body)).await;
            let answer = answer.map_err(|failure| Error::Other(failure.into()))?;
            check(&answer, &retry_after)?;
            Ok(answer.map(Full::new).into())
        })
    }
}

/// Notes when to come again, and refuses what is no ACME at all, such as the page of a proxy.
fn check(answer: &Response<Bytes>, retry_after: &RetryAfter) -> Result<(), Error> {
    let status = answer.status();
    if status.is_success() || status.is_redirection() {
        return Ok(());
    }
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    *retry_after.lock().unwrap_or_else(PoisonError::into_inner) = after;
    match serde_json::from_slice::<instant_acme::Problem>(answer.body()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Other(unexpected(status).into())),
    }
}

fn unexpected(status: StatusCode) -> String {
    format!("the authority answered {status} without saying why")
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
