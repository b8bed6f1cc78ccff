//! `Proxy-Status` on answers that this proxy makes itself, by
//! [RFC 9209](https://www.rfc-editor.org/rfc/rfc9209).

use http::{HeaderName, HeaderValue, StatusCode};

/// The name of the field.
pub const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Why an exchange failed, in the words of RFC 9209 §2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// The name of the server was not resolved in time.
    DnsTimeout,
    /// The name of the server could not be resolved.
    DnsError,
    /// No server of the upstream can be used now.
    DestinationUnavailable,
    /// The server's address must not be connected to.
    DestinationIpProhibited,
    /// No route leads to the server's address.
    DestinationIpUnroutable,
    /// The server refused the connection.
    ConnectionRefused,
    /// The connection ended before the answer began.
    ConnectionTerminated,
    /// The connection was not made in time.
    ConnectionTimeout,
    /// The server sent nothing for too long.
    ConnectionReadTimeout,
    /// The server took nothing for too long.
    ConnectionWriteTimeout,
    /// No more connections to the server are allowed.
    ConnectionLimitReached,
    /// The server's TLS could not be agreed on.
    TlsProtocolError,
    /// The server's certificate was not accepted.
    TlsCertificateError,
    /// The server ended the handshake with an alert.
    TlsAlertReceived,
    /// The client's request was at fault.
    HttpRequestError,
    /// The request was not allowed.
    HttpRequestDenied,
    /// The answer ended early.
    HttpResponseIncomplete,
    /// The head of the answer was too large.
    HttpResponseHeaderSectionSize,
    /// The answer did not begin in time.
    HttpResponseTimeout,
    /// The server did not change to the protocol asked for.
    HttpUpgradeFailed,
    /// The server broke the protocol.
    HttpProtocolError,
    /// The fault is here.
    ProxyInternalError,
    /// The fault is in the configuration here.
    ProxyConfigurationError,
    /// The request has been here before.
    ProxyLoopDetected,
}

impl ProxyError {
    /// The status of the answer: what RFC 9209 recommends, and 503 for a limit or an upstream
    /// that will be back.
    pub fn status(self) -> StatusCode {
        match self {
            Self::HttpRequestError => StatusCode::BAD_REQUEST,
            Self::HttpRequestDenied => StatusCode::FORBIDDEN,
            Self::ProxyInternalError | Self::ProxyConfigurationError => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::DestinationUnavailable | Self::ConnectionLimitReached => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::DnsTimeout
            | Self::ConnectionTimeout
            | Self::ConnectionReadTimeout
            | Self::ConnectionWriteTimeout
            | Self::HttpResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The registered name, such as `connection_refused`.
    pub fn as_str(self) -> &'static str {
        &self.member()[MEMBER_PREFIX.len()..]
    }

    /// The value of the field: `vane; error=connection_refused; details="…"`. Without details
    /// nothing is allocated.
    ///
    /// Details are an `sf-string` of [RFC 8941 §3.3.3](https://www.rfc-editor.org/rfc/rfc8941#section-3.3.3):
    /// quotes and backslashes are escaped, and what is not printable ASCII becomes `?`. They reach
    /// the client, so they must not tell what only the operator should know.
    pub fn header_value(self, details: Option<&str>) -> HeaderValue {
        let member = self.member();
        let Some(details) = details else { return HeaderValue::from_static(member) };
        let mut value = String::with_capacity(member.len() + DETAILS.len() + details.len() + 1);
        value.push_str(member);
        value.push_str(DETAILS);
        push_escaped(&mut value, details);
        value.push('"');
        HeaderValue::try_from(value).expect("printable ASCII is a legal value")
    }

    fn member(self) -> &'static str {
        match self {
            Self::DnsTimeout => "vane; error=dns_timeout",
            Self::DnsError => "vane; error=dns_error",
            Self::DestinationUnavailable => "vane; error=destination_unavailable",
            Self::DestinationIpProhibited => "vane; error=destination_ip_prohibited",
            Self::DestinationIpUnroutable => "vane; error=destination_ip_unroutable",
            Self::ConnectionRefused => "vane; error=connection_refused",
            Self::ConnectionTerminated => "vane; error=connection_terminated",
            Self::ConnectionTimeout => "vane; error=connection_timeout",
            Self::ConnectionReadTimeout => "vane; error=connection_read_timeout",
            Self::ConnectionWriteTimeout => "vane; error=connection_write_timeout",
            Self::ConnectionLimitReached => "vane; error=connection_limit_reached",
            Self::TlsProtocolError => "vane; error=tls_protocol_error",
            Self::TlsCertificateError => "vane; error=tls_certificate_error",
            Self::TlsAlertReceived => "vane; error=tls_alert_received",
            Self::HttpRequestError => "vane; error=http_request_error",
            Self::HttpRequestDenied => "vane; error=http_request_denied",
            Self::HttpResponseIncomplete => "vane; error=http_response_incomplete",
            Self::HttpResponseHeaderSectionSize => "vane; error=http_response_header_section_size",
            Self::HttpResponseTimeout => "vane; error=http_response_timeout",
            Self::HttpUpgradeFailed => "vane; error=http_upgrade_failed",
            Self::HttpProtocolError => "vane; error=http_protocol_error",
            Self::ProxyInternalError => "vane; error=proxy_internal_error",
            Self::ProxyConfigurationError => "vane; error=proxy_configuration_error",
            Self::ProxyLoopDetected => "vane; error=proxy_loop_detected",
        }
    }
}

fn push_escaped(value: &mut String, details: &str) {
    for character in details.chars() {
        match character {
            '"' | '\\' => value.extend(['\\', character]),
            ' '..='~' => value.push(character),
            _ => value.push('?'),
        }
    }
}

const MEMBER_PREFIX: &str = "vane; error=";
const DETAILS: &str = "; details=\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_names_this_proxy_and_the_error() {
        let value = ProxyError::ConnectionRefused.header_value(None);
        assert_eq!(value, "vane; error=connection_refused");
        assert_eq!(ProxyError::ConnectionRefused.as_str(), "connection_refused");
    }

    #[test]
    fn details_are_a_structured_string_whatever_is_in_them() {
        let value = ProxyError::DnsError.header_value(Some("no \"a\\b\"\r\nX: é"));
        assert_eq!(value, "vane; error=dns_error; details=\"no \\\"a\\\\b\\\"??X: ?\"");
    }

    #[test]
    fn each_error_has_the_status_of_whose_fault_it_is() {
        use ProxyError as E;
        for (error, status) in [
            (E::ConnectionRefused, 502),
            (E::HttpResponseIncomplete, 502),
            (E::ProxyLoopDetected, 502),
            (E::DestinationUnavailable, 503),
            (E::ConnectionLimitReached, 503),
            (E::DnsTimeout, 504),
            (E::HttpResponseTimeout, 504),
            (E::HttpRequestError, 400),
            (E::HttpRequestDenied, 403),
            (E::ProxyInternalError, 500),
        ] {
            assert_eq!(error.status(), status, "{error:?}");
        }
    }
}
