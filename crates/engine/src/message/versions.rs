//! From a request as HTTP/1.1 spells it to the same one as HTTP/2 does, and back.

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version, header};
use http_body::Body;

/// The target of a request over HTTP/2: with scheme and authority,
/// [RFC 9113 §8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1). Where `host` is no
/// authority, `own` is.
pub fn absolute(scheme: Scheme, host: &HeaderValue, own: &Authority, target: PathAndQuery) -> Uri {
    let authority = Authority::try_from(host.as_bytes()).unwrap_or_else(|_| own.clone());
    let mut parts = Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_default()
}

/// Spells a request for HTTP/2 that was made for HTTP/1.1: what concerns the connection goes, and
/// the host becomes part of the target.
pub fn to_http2<B>(request: &mut Request<B>, scheme: Scheme, own: &Authority) {
    let headers = request.headers_mut();
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
    let host = headers.remove(header::HOST);
    let host = host.or_else(|| HeaderValue::from_str(own.as_str()).ok());
    let host = host.unwrap_or(HeaderValue::from_static("localhost"));
    let target = request.uri().path_and_query().cloned();
    let target = target.unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = absolute(scheme, &host, own, target);
    *request.version_mut() = Version::HTTP_2;
}

/// Spells a request for HTTP/1.1 that [`to_http2`] had spelled for HTTP/2.
pub fn to_http1<B: Body>(request: &mut Request<B>) {
    let Parts { authority, path_and_query, .. } = std::mem::take(request.uri_mut()).into_parts();
    let target = path_and_query.unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    let is_chunked =
        !request.body().is_end_stream() && request.body().size_hint().exact().is_none();
    let headers = request.headers_mut();
    let host = authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    headers.insert(header::HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
    if headers.contains_key(header::TE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if is_chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was_spelled_for_http1() {
        let request = || {
            Request::get("/a?b=c")
                .header("te", "trailers")
                .header("host", "a.example:8443")
                .header("connection", "te")
                .body(String::new())
                .expect("a request")
        };
        let (before, mut after) = (request(), request());
        to_http2(&mut after, Scheme::HTTPS, &Authority::from_static("own.example"));
        to_http1(&mut after);
        assert_eq!((before.uri(), before.headers()), (after.uri(), after.headers()));
        assert_eq!(before.version(), after.version());
    }

    #[test]
    fn a_host_becomes_part_of_the_target_and_the_connection_is_not_mentioned() {
        let mut request = Request::get("/a?b=c")
            .header("host", "a.example:8443")
            .header("connection", "te")
            .header("te", "trailers")
            .header("transfer-encoding", "chunked")
            .body(())
            .expect("a request");
        to_http2(&mut request, Scheme::HTTPS, &Authority::from_static("own.example"));
        assert_eq!(request.uri().to_string(), "https://a.example:8443/a?b=c");
        let names: Vec<_> = request.headers().keys().map(header::HeaderName::as_str).collect();
        assert_eq!(names, ["te"]);
    }
}
