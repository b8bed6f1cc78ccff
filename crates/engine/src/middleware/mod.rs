//! What edits or inspects a request between match and action. Each is a function of its rule and
//! of the flow; time is an argument.

pub mod headers;

pub mod rewrite;

pub mod rate_limit;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, Version};
    use vane_core::graph::facts::{ConnectionFacts, Facts, RequestFacts};
    use vane_core::value::listen_addr::Transport;

    /// What `ask` makes of a request for `target` from `[2001:db8::1]:5000`.
    pub(super) fn with_request<T>(target: &str, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        let connection = ConnectionFacts {
            transport: Transport::Tcp,
            remote: "[2001:db8::1]:5000".parse().unwrap(),
            local: "[::1]:80".parse().unwrap(),
            first_bytes: None,
            handshake: None,
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let request = RequestFacts {
            version: Version::HTTP_11,
            scheme: "http",
            method: &Method::GET,
            host: "a.example",
            path,
            query,
            headers: &HeaderMap::new(),
        };
        ask(&Facts { connection: &connection, request: Some(request) })
    }
}
