//! A request between the client and the action: what was sent, and what middleware made of it.

use std::borrow::Cow;
use std::fmt;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri, Version};
use vane_core::graph::facts::{ConnectionFacts, Facts, RequestFacts};
use vane_core::value::path::{PathError, normalise};

use crate::inbound::Inbound;
use crate::message::authority::{Authority, AuthorityError};
use crate::middleware::rewrite::Rewritten;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Draft {
    parts: Parts,
    scheme: &'static str,
    host: Box<str>,
    target: Option<PathAndQuery>,
}

/// A request that is refused because it could be read in two ways, or in none.
#[derive(Debug)]
pub(super) enum Malformed {
    /// Its host is missing, doubled, or said differently in two places.
    Authority(AuthorityError),
    /// Its path is no path.
    Path(PathError),
    /// Its normal form is no legal target.
    Target,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority(error) => error.fmt(f),
            Self::Path(error) => error.fmt(f),
            Self::Target => f.write_str("the request target is malformed"),
        }
    }
}

impl Draft {
    /// Takes a request apart.
    ///
    /// # Errors
    /// When it is to be refused.
    pub(super) fn new(
        request: Request<Inbound>,
        scheme: &'static str,
    ) -> Result<(Self, Inbound), Malformed> {
        let (parts, body) = request.into_parts();
        let authority = Authority::of(&parts.uri, &parts.headers, parts.version)
            .map_err(Malformed::Authority)?;
        let host = authority.host().into();
        if parts.uri.path() == "*" && parts.method != Method::OPTIONS {
            return Err(Malformed::Target);
        }
        let target = normal_target(&parts.uri)?;
        Ok((Self { parts, scheme, host, target }, body))
    }

    /// What is known of it now.
    pub(super) fn facts<'a>(&'a self, connection: &'a ConnectionFacts) -> Facts<'a> {
        Facts {
            connection,
            request: Some(RequestFacts {
                version: self.parts.version,
                scheme: self.scheme,
                method: &self.parts.method,
                host: &self.host,
                path: self.path(),
                query: self.query(),
                headers: &self.parts.headers,
            }),
        }
    }

    /// Whom it is for, as predicates see it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// As the client sent it.
    pub(super) fn version(&self) -> Version {
        self.parts.version
    }

    /// As the client sent it.
    pub(super) fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// Its header fields, as edited so far.
    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.parts.headers
    }

    /// Its header fields, as edited so far.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Replaces the path, and the query where the rewrite carries one.
    ///
    /// # Errors
    /// When the result is no legal request target.
    pub(super) fn rewrite(&mut self, rewritten: Rewritten) -> Result<(), Malformed> {
        let mut target = rewritten.path;
        if let Some(query) = rewritten.query.as_deref().or(self.query()) {
            target.push('?');
            target.push_str(query);
        }
        self.target = Some(PathAndQuery::try_from(target).map_err(|_| Malformed::Target)?);
        Ok(())
    }

    /// Path and query, normalised and as rewritten so far.
    pub(super) fn target(&self) -> PathAndQuery {
        match (&self.target, self.parts.uri.path_and_query()) {
            (Some(target), _) => target.clone(),
            (None, Some(target)) => target.clone(),
            (None, None) => PathAndQuery::from_static("/"),
        }
    }

    /// Gives up method and header fields.
    pub(super) fn take(&mut self) -> (Method, HeaderMap) {
        (std::mem::take(&mut self.parts.method), std::mem::take(&mut self.parts.headers))
    }

    /// The path, normalised and as rewritten so far.
    pub(super) fn path(&self) -> &str {
        self.target.as_ref().map_or(self.parts.uri.path(), PathAndQuery::path)
    }

    fn query(&self) -> Option<&str> {
        self.target.as_ref().map_or(self.parts.uri.query(), PathAndQuery::query)
    }
}

/// Path and query with the path normalised; nothing where it already is.
fn normal_target(uri: &Uri) -> Result<Option<PathAndQuery>, Malformed> {
    if uri.path() == "*" {
        return Ok(None);
    }
    let Cow::Owned(mut path) = normalise(uri.path()).map_err(Malformed::Path)? else {
        return Ok(None);
    };
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    PathAndQuery::try_from(path).map(Some).map_err(|_| Malformed::Target)
}
