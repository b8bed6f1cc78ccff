//! One order, from its begin or from where a process that ended left it, to a certificate.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use vane_core::rules::tls::Managed;
use vane_core::value::host_pattern::HostPattern;
use vane_core::value::secret::Secret;

use crate::acme::authority::Authority;
use crate::acme::failure::{OrderFailure, is_passing};
use crate::acme::http::HttpFailure;
use crate::acme::keys;
use crate::acme::proof::Proofs;
use crate::acme::schedule::time::UnixTime;
use crate::acme::storage::record::{CertificatePem, PendingOrder};
use crate::acme::storage::{Storage, id};
use crate::tls::certificate::Served;

/// How an authority is asked whether it is done: soon, then ever more slowly.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// What an order needs.
pub(super) struct Ordering<'a> {
    /// What is ordered.
    pub(super) managed: &'a Managed,
    /// Of whom.
    pub(super) authority: &'a Authority,
    /// Where it is kept meanwhile.
    pub(super) storage: &'a Arc<Storage>,
    /// The certificate that the new one takes the place of, RFC 9773 §5.
    pub(super) replaces: Option<CertificateIdentifier<'static>>,
}

impl Ordering<'_> {
    /// Orders a certificate, or goes on with `pending`. The order is stored before anything is
    /// asked of the authority that could lead to a certificate, and its key with it.
    ///
    /// # Errors
    /// Why there is none. Unless the failure is final the order can be gone on with.
    pub(super) async fn run(
        &self,
        pending: Option<PendingOrder>,
        mut proofs: Proofs<'_>,
    ) -> Result<CertificatePem, OrderFailure> {
        let proven = self.lead(pending, &mut proofs).await;
        proofs.clean_up().await;
        let (chain, key) = proven?;
        let pem = CertificatePem { key, chain };
        check(&pem, self.managed)?;
        Ok(pem)
    }

    async fn lead(
        &self,
        pending: Option<PendingOrder>,
        proofs: &mut Proofs<'_>,
    ) -> Result<(String, Secret), OrderFailure> {
        let (mut order, key) = match self.resume(pending).await? {
            Some(resumed) => resumed,
            None => self.begin().await?,
        };
        if order.state().status == OrderStatus::Pending {
            self.prove(&mut order, proofs).await?;
        }
        if order.state().status == OrderStatus::Ready {
            let csr = keys::signing_request(&self.managed.names, key.expose())?;
            self.asked(order.finalize_csr(&csr).await)?;
        }
        match order.state().status {
            OrderStatus::Invalid => Err(self.why_invalid(&mut order).await),
            _ => {
                let chain = self.asked(order.poll_certificate(&PATIENCE).await)?;
                Ok((chain, key))
            }
        }
    }

    /// Goes on with an order that is ours and that the authority still knows.
    async fn resume(
        &self,
        pending: Option<PendingOrder>,
    ) -> Result<Option<(Order, Secret)>, OrderFailure> {
        let ours = |pending: &PendingOrder| {
            pending.account == id::account(&self.managed.account)
                && pending.names == names(self.managed)
        };
        let Some(pending) = pending.filter(ours) else { return Ok(None) };
        match self.authority.account.order(pending.url).await {
            Ok(mut order) => {
                // What has been refused is not asked for again: a new one it is.
                let is_open = order.state().status != OrderStatus::Invalid;
                Ok(is_open.then_some((order, pending.key)))
            }
            // The authority has forgotten it.
            Err(Error::Api(problem)) if !is_passing(&problem) => Ok(None),
            Err(error) => Err(self.authority.failure(error)),
        }
    }

    async fn begin(&self) -> Result<(Order, Secret), OrderFailure> {
        let kind = self.managed.key_type;
        let key =
            spawn_blocking(move || keys::generate(kind)).await.map_err(OrderFailure::ours)??;
        let identifiers: Vec<_> = self.managed.names.iter().map(identifier).collect();
        let mut order = self.place(&identifiers).await?;
        let pending = PendingOrder {
            url: order.url().to_owned(),
            account: id::account(&self.managed.account),
            key: key.clone(),
            names: names(self.managed),
            created: UnixTime::now(),
        };
        let (storage, managed) = (Arc::clone(self.storage), self.managed.clone());
        let saved = spawn_blocking(move || storage.save_order(&managed, &pending)).await;
        saved.map_err(OrderFailure::ours)?.map_err(OrderFailure::ours)?;
        if order.state().status == OrderStatus::Invalid {
            return Err(self.why_invalid(&mut order).await);
        }
        Ok((order, key))
    }

    /// Places the order, as a replacement where the authority takes it for one.
    async fn place(&self, identifiers: &[Identifier]) -> Result<Order, OrderFailure> {
        let new = || {
            let order = NewOrder::new(identifiers);
            match &self.managed.profile {
                Some(profile) => order.profile(profile),
                None => order,
            }
        };
        if let Some(replaced) = &self.replaces {
            match self.authority.account.new_order(&new().replaces(replaced.clone())).await {
                Ok(order) => return Ok(order),
                Err(Error::Api(problem)) if !is_about_replacing(&problem) => {
                    return Err(self.authority.failure(Error::Api(problem)));
                }
                // It may have come to an order: a second one is for the next attempt.
                Err(Error::Other(error)) if error.is::<HttpFailure>() => {
                    return Err(self.authority.failure(Error::Other(error)));
                }
                Err(error) => tracing::debug!(%error, "not taken as a replacement"),
            }
        }
        self.asked(self.authority.account.new_order(&new()).await)
    }

    /// Answers the challenges of every name that is not proven yet, and waits for the verdict.
    async fn prove(&self, order: &mut Order, proofs: &mut Proofs<'_>) -> Result<(), OrderFailure> {
        self.answer(order, proofs).await?;
        tokio::time::sleep_until(Instant::now() + proofs.wait()).await;
        self.set_ready(order, proofs).await?;
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Invalid) => Err(self.why_invalid(order).await),
            Ok(_) => Ok(()),
            Err(_) if order.state().error.is_some() => Err(self.why_invalid(order).await),
            // What was refused is the question, not the order.
            Err(error) => Err(self.authority.failure(error)),
        }
    }

    async fn answer(&self, order: &mut Order, proofs: &mut Proofs<'_>) -> Result<(), OrderFailure> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = self.asked(authorization)?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = authorization.identifier().to_string();
            let Some(challenge) = authorization.challenge(proofs.kind()) else {
                return Err(not_offered(self.managed.challenge.as_str(), &name));
            };
            proofs.answer(&challenge).await?;
        }
        Ok(())
    }

    async fn set_ready(&self, order: &mut Order, proofs: &Proofs<'_>) -> Result<(), OrderFailure> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = self.asked(authorization)?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(proofs.kind())
            {
                self.asked(challenge.set_ready().await)?;
            }
        }
        Ok(())
    }

    /// What the authority says of each name that it could not verify, or of the order.
    async fn why_invalid(&self, order: &mut Order) -> OrderFailure {
        let of_order = order.state().error.clone();
        let mut problems = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_err()
                || authorization.status != AuthorizationStatus::Invalid
            {
                continue;
            }
            let name = authorization.identifier().to_string();
            let error = authorization.challenges.iter().find_map(|each| each.error.clone());
            problems.push((name, error));
        }
        match of_order {
            Some(problem) if problems.is_empty() => {
                self.authority.failure(Error::Api(problem)).last()
            }
            _ => OrderFailure::unproven(problems),
        }
    }

    fn asked<T>(&self, answer: Result<T, Error>) -> Result<T, OrderFailure> {
        answer.map_err(|error| self.authority.failure(error))
    }
}

/// RFC 9773 §5: an authority refuses to replace what it does not know, or what is replaced already.
fn is_about_replacing(problem: &instant_acme::Problem) -> bool {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.ends_with(":alreadyReplaced") || kind.ends_with(":malformed")
}

fn not_offered(challenge: &str, name: &str) -> OrderFailure {
    let words = format!("the authority does not offer `{challenge}` for {name}: use another");
    OrderFailure::ours(words).last()
}

fn identifier(name: &HostPattern) -> Identifier {
    let text = name.to_string();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    bare.parse().map_or_else(|_| Identifier::Dns(text.clone()), Identifier::Ip)
}

fn names(managed: &Managed) -> Vec<String> {
    managed.names.iter().map(ToString::to_string).collect()
}

/// An authority's certificate is looked at as closely as one from a file.
fn check(pem: &CertificatePem, managed: &Managed) -> Result<(), OrderFailure> {
    let served = Served::from_pem(pem.chain.as_bytes(), pem.key.expose().as_bytes());
    let served = served.map_err(|problem| {
        OrderFailure::ours(format!("what the authority issued cannot be served: {problem}")).last()
    })?;
    let missing = managed.names.iter().find(|name| match name {
        HostPattern::Exact(name) => !served.facts.covers(name),
        HostPattern::OneLabel(parent) => !served.facts.covers(&format!("any.{parent}")),
    });
    match missing {
        Some(name) => {
            Err(OrderFailure::ours(format!("what the authority issued is not for {name}")).last())
        }
        None => Ok(()),
    }
}
