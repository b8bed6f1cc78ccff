//! An authority, as one account of ours sees it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Collected, Full};
use instant_acme::{
    Account, AccountBuilder, BodyWrapper, BytesResponse, Error, ExternalAccountKey, HttpClient,
    NewAccount,
};
use rustls::ClientConfig;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use vane_core::rules::tls::{AccountBinding, AcmeAccount};

use crate::acme::failure::{OrderFailure, Refusal};
use crate::acme::http::HttpsClient;
use crate::acme::storage::record::Credentials;
use crate::acme::storage::{Loaded, Storage};
use crate::tls::{client, provider};

/// An account with an authority.
pub(crate) struct Authority {
    /// For orders.
    pub(crate) account: Account,
    https: HttpsClient,
    /// What the roots were made of that its own certificate is verified with.
    roots: Contents,
    /// What is not on disk yet.
    unstored: Mutex<Option<Credentials>>,
}

impl Authority {
    /// Takes up the account of `before`, else the stored one, or makes one and stores it. What was
    /// made is used even where it cannot be stored: authorities limit how many they make.
    ///
    /// # Errors
    /// When the authority cannot be reached or refuses, or an account could not be stored.
    pub(crate) async fn meet(
        settings: &AcmeAccount,
        storage: &Arc<Storage>,
        before: Option<&Self>,
    ) -> Result<Self, OrderFailure> {
        let contents = contents(settings).await.unwrap_or_default();
        let https = client(settings).await?;
        let builder = Account::builder_with_http(Box::new(Client(https.clone())));
        let unstored = before.and_then(Self::unstored);
        let known = match &unstored {
            Some(credentials) => Some(credentials.clone()),
            None => stored(settings, storage).await?,
        };
        let (account, unstored) = match known {
            Some(known) => {
                let known = serde_json::from_value(known.expose().clone());
                let known = known.map_err(OrderFailure::ours)?;
                (builder.from_credentials(known).await.map_err(OrderFailure::new)?, unstored)
            }
            None => {
                let (account, made) = make(settings, storage, builder).await?;
                (account, Some(made))
            }
        };
        let met = Self { account, https, roots: contents, unstored: Mutex::new(unstored) };
        met.store(settings, storage).await;
        Ok(met)
    }

    /// Whether its own certificate would be verified in the same way now.
    pub(crate) async fn is_current(&self, settings: &AcmeAccount) -> bool {
        // A file that cannot be read now may be about to be written.
        contents(settings).await.is_none_or(|contents| contents == self.roots)
    }

    /// Stores an account that could not be stored before.
    pub(crate) async fn store(&self, settings: &AcmeAccount, storage: &Arc<Storage>) {
        let Some(credentials) = self.unstored() else { return };
        let (settings, storage) = (settings.clone(), Arc::clone(storage));
        let saved = spawn_blocking(move || storage.save_account(&settings, &credentials)).await;
        match saved {
            Ok(Ok(())) => *lock(&self.unstored) = None,
            Ok(Err(error)) => tracing::error!("an account is not stored yet: {error}"),
            Err(_) => {}
        }
    }

    /// What speaks HTTPS to it, and to others under the roots of the same settings.
    pub(crate) fn https(&self) -> &HttpsClient {
        &self.https
    }

    fn unstored(&self) -> Option<Credentials> {
        lock(&self.unstored).clone()
    }
}

/// A hash of what a file says.
type Contents = [u8; 32];

/// Of the file with the roots; nothing where it cannot be read.
async fn contents(settings: &AcmeAccount) -> Option<Contents> {
    let Some(path) = settings.ca_file.clone() else { return Some(Contents::default()) };
    let read = spawn_blocking(move || std::fs::read(&*path)).await;
    Some(Sha256::digest(read.ok()?.ok()?).into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
) -> Result<Option<Credentials>, OrderFailure> {
    let (settings, storage) = (settings.clone(), Arc::clone(storage));
    let loaded = spawn_blocking(move || storage.account(&settings)).await;
    let Loaded { value, damage } = loaded.map_err(OrderFailure::ours)?;
    damage.iter().for_each(|damage| tracing::warn!("{damage}"));
    Ok(value)
}

/// Makes an account where it could be stored.
async fn make(
    settings: &AcmeAccount,
    storage: &Arc<Storage>,
    builder: AccountBuilder,
) -> Result<(Account, Credentials), OrderFailure> {
    let tried = Arc::clone(storage);
    let tried = spawn_blocking(move || tried.try_account()).await;
    tried.map_err(OrderFailure::ours)?.map_err(OrderFailure::ours)?;
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
    let (account, credentials) = made.map_err(OrderFailure::new)?;
    tracing::info!(directory = %settings.directory, "account made with a certificate authority");
    let credentials = serde_json::to_value(&credentials).map_err(OrderFailure::ours)?;
    Ok((account, Credentials::new(credentials)))
}

fn external_key(binding: &AccountBinding) -> Result<ExternalAccountKey, OrderFailure> {
    let key = binding.hmac_key.expose().trim_end_matches('=');
    let key = URL_SAFE_NO_PAD.decode(key).map_err(|_| {
        OrderFailure::ours("`hmac_key` of `eab` is not base64url, as the authority gave it")
    })?;
    Ok(ExternalAccountKey::new(binding.key_id.to_string(), &key))
}

/// Speaks HTTP for the ACME client.
struct Client(HttpsClient);

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let https = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body =
                body.collect().await.map_or_else(|never| match never {}, Collected::to_bytes);
            let answer = https.send(Request::from_parts(parts, body)).await;
            let answer = answer.map_err(|failure| Error::Other(failure.into()))?;
            match Refusal::of(&answer) {
                Some(refusal) => Err(Error::Other(refusal.into())),
                None => Ok(answer.map(Full::new).into()),
            }
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
