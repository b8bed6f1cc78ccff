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
use crate::acme::failure::{OrderFailure, Refusal};
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

/// What an order led to.
#[derive(Debug)]
pub(super) struct Issued {
    /// To be stored.
    pub(super) pem: CertificatePem,
    /// The same, as it serves.
    pub(super) served: Served,
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
    ) -> Result<Issued, OrderFailure> {
        let proven = self.lead(pending, &mut proofs).await;
        proofs.clean_up().await;
        let (chain, key) = proven?;
        let pem = CertificatePem { key, chain };
        let served = check(&pem, self.managed)?;
        Ok(Issued { pem, served })
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
            asked(order.finalize_csr(&csr).await)?;
        }
        match order.state().status {
            OrderStatus::Invalid => Err(self.why_invalid(&mut order).await),
            _ => {
                let chain = asked(order.poll_certificate(&PATIENCE).await)?;
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
            Err(error) if Refusal::is_of_nothing_there(&error) => Ok(None),
            Err(error) => Err(OrderFailure::new(error)),
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
                Err(error) if is_about_replacing(&error) => {
                    tracing::debug!(%error, "not taken as a replacement");
                }
                // It may have come to an order: a second one is for the next attempt.
                Err(error) => return Err(OrderFailure::new(error)),
            }
        }
        asked(self.authority.account.new_order(&new()).await)
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
            Err(error) => Err(OrderFailure::new(error)),
        }
    }

    async fn answer(&self, order: &mut Order, proofs: &mut Proofs<'_>) -> Result<(), OrderFailure> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = asked(authorization)?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = authorization.identifier().to_string();
            if !is_among(&self.managed.names, &name) {
                return Err(not_ordered(&name));
            }
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
            let mut authorization = asked(authorization)?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(proofs.kind())
            {
                asked(challenge.set_ready().await)?;
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
            Some(problem) if problems.is_empty() => OrderFailure::new(Error::Api(problem)).last(),
            _ => OrderFailure::unproven(problems),
        }
    }
}

fn asked<T>(answer: Result<T, Error>) -> Result<T, OrderFailure> {
    answer.map_err(OrderFailure::new)
}

/// Whether an authority that was told what an order replaces is to be asked once more without.
fn is_about_replacing(error: &Error) -> bool {
    match error {
        // It knows nothing of replacing.
        Error::Unsupported(_) => true,
        // It took the order and did not repeat what is replaced; from the library alone.
        Error::Other(other) if !other.is::<HttpFailure>() && !other.is::<Refusal>() => true,
        error => Refusal::is_about_replacing(error),
    }
}

fn not_offered(challenge: &str, name: &str) -> OrderFailure {
    let words = format!("the authority does not offer `{challenge}` for {name}: use another");
    OrderFailure::ours(words).last()
}

fn not_ordered(name: &str) -> OrderFailure {
    let words = format!("the authority wants a proof for {name}, which was not ordered");
    OrderFailure::ours(words).last()
}

/// Whether a name that an authority asks about is one of those that are ordered. Otherwise it
/// could have answers and records put in place for any name.
fn is_among(names: &[HostPattern], asked: &str) -> bool {
    names.iter().any(|name| match identifier(name) {
        Identifier::Ip(address) => asked.parse() == Ok(address),
        _ => name.to_string().eq_ignore_ascii_case(asked),
    })
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
fn check(pem: &CertificatePem, managed: &Managed) -> Result<Served, OrderFailure> {
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
        None => Ok(served),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_ordered_are_proven() {
        let patterns = ["a.example", "*.b.example", "[::1]", "192.0.2.1"];
        let names = patterns.map(|name| HostPattern::parse(name).unwrap());
        for ordered in ["a.example", "A.example", "*.b.example", "::1", "0:0::1", "192.0.2.1"] {
            assert!(is_among(&names, ordered), "{ordered}");
        }
        for other in ["b.example", "x.b.example", "a.example.", "::2", "*.a.example", ""] {
            assert!(!is_among(&names, other), "{other}");
        }
    }
}
